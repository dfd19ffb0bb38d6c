import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, echo, upgraded, WAYS } from '../helpers/clients.ts';
import { startNode } from '../helpers/nodes.ts';
import type { Node } from '../helpers/nodes.ts';
import { startRedis } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const CLIENTS = 50;
const MESSAGES = 5;

const closers: (() => Promise<unknown>)[] = [];
let nodes: Node[];
let alone: TestRouter;
let replicas: TestRouter[];
const urls = { memory: '', redis: '' };

beforeAll(async () => {
  nodes = [await startNode('node-1'), await startNode('node-2')];
  const redis = await startRedis();
  const upstreams = nodes.map(({ url }) => url);
  alone = await startTestRouter({ upstreams });
  replicas = [
    await startTestRouter({ upstreams, store: redis.url }),
    await startTestRouter({ upstreams, store: redis.url }),
  ];
  const balancer = await startRoundRobin(replicas.map(({ port }) => port));
  urls.memory = alone.url;
  urls.redis = balancer.url;
  closers.push(...nodes.map((node) => () => node.close()));
  closers.push(() => redis.close(), ...[alone, ...replicas].map((router) => () => router.close()));
  closers.push(() => balancer.close());
});

afterAll(async () => {
  for (const close of closers.reverse()) await close();
});

describe.each([
  ['one replica with the memory store', 'memory'],
  ['two replicas behind round robin with Redis', 'redis'],
] as const)('%s', (_topology, url) => {
  test.each(WAYS)(
    `${String(CLIENTS)} of ${String(CLIENTS)} clients: %s`,
    async (_name, transports) => {
      const sockets = await Promise.all(
        Array.from({ length: CLIENTS }, () => connectClient(urls[url], { transports })),
      );
      try {
        const owners = new Set<unknown>();
        await Promise.all(
          sockets.map(async (socket, client) => {
            for (let i = 0; i < MESSAGES; i += 1) {
              const message = `${String(client)}/${String(i)}`;
              expect(await echo(socket, message)).toBe(message);
            }
            owners.add(await socket.emitWithAck('whoami'));
            if (transports.length > 1) await upgraded(socket);
          }),
        );
        expect(owners).toEqual(new Set(['node-1', 'node-2']));
      } finally {
        for (const socket of sockets) socket.close();
      }
    },
  );
});

test('not one request was refused, and not one session lost', () => {
  for (const router of [alone, ...replicas]) {
    for (const name of [
      'refused',
      'lostSessions',
      'handshakesFailed',
      'handshakesRetried',
      'collisions',
    ]) {
      expect([name, router.counter(name)]).toEqual([name, 0]);
    }
  }
});
