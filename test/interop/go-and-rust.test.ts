import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { ask } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startRedis } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter, type TestRouter } from '../helpers/router.ts';
import { javascriptClients } from './clients/javascript.ts';
import type { ClientSession, ServerKind, ServerNode } from './matrix/contract.ts';
import { goGoogollee } from './servers/go-googollee.ts';
import { goZishang } from './servers/go-zishang.ts';
import { rustSocketioxide } from './servers/rust-socketioxide.ts';

const closers = new Closers();
afterEach(() => closers.close());

async function startNodes(kind: ServerKind): Promise<readonly ServerNode[]> {
  const names = ['node-1', 'node-2'];
  return Promise.all(names.map(async (name) => closers.add(await kind.start(name))));
}

describe.each([
  ['one replica', 1],
  ['two replicas', 2],
])('two nodes of googollee, whose session ids are a counter, behind %s', (_way, replicaCount) => {
  const client = javascriptClients.find(({ id }) => id === 'socket.io-client-2')!;
  beforeAll(() => Promise.all([goGoogollee.build(), client.build()]));

  /** Connects clients all at once; resolves when each has said that it is who it is. */
  async function crowd(url: string, transport: 'polling' | 'websocket'): Promise<ClientSession[]> {
    const connecting = Array.from({ length: 12 }, () => client.connect(url, [transport]));
    const sessions = await Promise.all(connecting);
    sessions.forEach((session) => closers.add({ close: () => session.drop() }));
    await check(sessions);
    return sessions;
  }

  async function check(sessions: readonly ClientSession[]): Promise<void> {
    const checks = sessions.map(async (session, index) => {
      expect(await session.whoami()).toBe(session.node);
      const text = `from client ${index}`;
      expect(await session.echo({ kind: 'text', text })).toEqual({ kind: 'text', text });
    });
    await Promise.all(checks);
  }

  test.each(['polling', 'websocket'] as const)(
    'keep their sessions apart, and every collision is counted: %s',
    async (transport) => {
      const nodes = await startNodes(goGoogollee);
      const redis = replicaCount === 1 ? undefined : closers.add(await startRedis());
      const keys = {
        upstreams: nodes.map(({ url }) => url),
        // A check by handshake would take part in the counting.
        health: { check: 'tcp' },
        ...(redis === undefined ? {} : { store: redis.url }),
      };
      const replicas: TestRouter[] = [];
      while (replicas.length < replicaCount) {
        replicas.push(closers.add(await startTestRouter(keys)));
      }
      const { url } = closers.add(await startRoundRobin(replicas.map(({ port }) => port)));

      const sessions = await crowd(url, transport);

      expect(new Set(sessions.map(({ node }) => node))).toEqual(new Set(['node-1', 'node-2']));
      const sum = replicas.reduce((total, { counter }) => total + counter('collisions'), 0);
      expect(sum).toBeGreaterThan(0);
      // The end of one session leaves the other that bears its sid alone.
      await Promise.all(sessions.slice(0, 6).map((session) => session.disconnect()));
      await check(sessions.slice(6));
    },
  );
});

describe.each([
  { kind: rustSocketioxide, wellFormed: 'AAAAAAAAAAAAAAAA', code: '"1"', upgrade: 101 },
  { kind: goZishang, wellFormed: 'AAAAAAAAAAAAAAAAAAAAAAAA', code: '1', upgrade: 400 },
])('a session id that $kind.id never gave out', ({ kind, wellFormed, code, upgrade }) => {
  beforeAll(() => kind.build());

  const target = (transport: string, sid: string): string =>
    `/socket.io/?EIO=4&transport=${transport}&sid=${sid}`;

  async function statusOfUpgrade(port: number, sid: string): Promise<readonly number[]> {
    const client = closers.add(new RawClient(port));
    client.send(
      `GET ${target('websocket', sid)} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\n` +
        'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
    );
    await client.untilAnswers(1);
    return client.statuses;
  }

  test.each([wellFormed, 'short', `${wellFormed}A`])('ends at the router: %s', async (sid) => {
    const [node] = await startNodes(kind);
    const router = closers.add(await startTestRouter({ upstreams: node!.url }));
    const said = async (url: string): Promise<string> => {
      const { status, body } = await ask(url + target('polling', sid));
      return `${status} ${body.toString()}`;
    };
    const message = '"message":"Session ID unknown"';

    expect(await said(node!.url)).toBe(`400 {"code":${code},${message}}`);
    expect(await said(router.url)).toBe(`400 {"code":1,${message}}`);
    const own = sid === wellFormed ? upgrade : 400;
    expect(await statusOfUpgrade(node!.port, sid)).toEqual([own]);
    expect(await statusOfUpgrade(router.port, sid)).toEqual([400]);
    expect(router.counter('upgrades')).toBe(0);
  });
});
