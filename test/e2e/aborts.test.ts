import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import { eventually } from '../helpers/eventually.ts';
import { frame } from '../helpers/frame.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import { startNode } from '../helpers/nodes.ts';
import type { Node } from '../helpers/nodes.ts';
import { ask, openSession, poll, pollingTarget } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import type { RawUpstream } from '../helpers/raw-upstream.ts';
import { startRedis } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';
import { closed } from '../helpers/upgrade-router.ts';

const ROUNDS = 20;
/** How soon an upstream must learn that its client has left, in milliseconds. */
const SOON_MS = 50;

/** Rounds in which a machine with other work to do may be late. Each way of leaving has more. */
const STALLS = 2;

/** How a client leaves: it ends its side, closes its socket, or the connection is reset. */
const LEAVES: readonly ((socket: Socket) => void)[] = [
  (socket) => socket.end(),
  (socket) => socket.destroy(),
  (socket) => socket.resetAndDestroy(),
];

const forAll = new Closers();
const forOne = new Closers();
let nodes: Node[];
let router: TestRouter;

beforeAll(async () => {
  nodes = [forAll.add(await startNode('node-1')), forAll.add(await startNode('node-2'))];
  const upstreams = nodes.map(({ url }) => url);
  // A check by handshake would be taken for the request that a test waits for.
  router = forAll.add(await startTestRouter({ upstreams, health: { check: 'tcp' } }));
});
afterEach(() => forOne.close());
afterAll(() => forAll.close());

function ascending(a: number, b: number): number {
  return a - b;
}

/** A client is in place for leaving. In an object, because a promise cannot resolve with a promise. */
interface Scene {
  /** Resolves when the upstream has learnt that the client has left. */
  readonly noticed: Promise<unknown>;
}

/** Lets a client leave 20 times, in every way, and fails if its upstream learns of it too late. */
async function expectNoticedSoon(
  what: string,
  arrive: (client: RawClient) => Promise<Scene>,
  port: number,
): Promise<void> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const client = new RawClient(port);
    try {
      const { noticed } = await arrive(client);
      const leftAt = performance.now();
      LEAVES[round % LEAVES.length]?.(client.socket);
      await withDeadline(noticed, 5_000, `the upstream hears of a client that leaves: ${what}`);
      times.push(performance.now() - leftAt);
    } finally {
      client.close();
    }
  }
  const [median, most] = [0.5, 1].map((part) => times.toSorted(ascending)[part * ROUNDS - 1]);
  console.log(
    `${what}: heard after ${String(median?.toFixed(1))} ms, at most ${String(most?.toFixed(1))} ms`,
  );
  expect(times.filter((ms) => ms < SOON_MS).length).toBeGreaterThanOrEqual(ROUNDS - STALLS);
}

/** The upstream may hear of it a moment before the router has put its own things away. */
async function untilIdle({ router: running }: TestRouter): Promise<void> {
  const isIdle = (): boolean => {
    const { requestsInFlight, tunnels } = running.status() as Record<string, unknown>;
    return requestsInFlight === 0 && tunnels === 0;
  };
  await eventually(isIdle, 1_000, 'nothing is under way in the router');
}

function get(target: string, ...headers: string[]): string {
  return [`GET ${target} HTTP/1.1`, 'Host: chat', ...headers, '\r\n'].join('\r\n');
}

/** A session on a real node, connected and welcomed. */
async function connectedSession(): Promise<{ readonly sid: string; readonly node: Node }> {
  const sid = await openSession(router.url);
  await ask(pollingTarget(router.url, sid), { method: 'POST', body: '40' });
  let received = '';
  while (!received.includes('welcome')) received += await poll(router.url, sid);
  const node = nodes.find(({ name }) => received.includes(`"${name}"`));
  if (node === undefined) throw new Error(`nobody's welcome: ${received}`);
  return { sid, node };
}

/** Resolves when the node's application hears, for this reason, that a session is over. */
async function heard(node: Node, sid: string, expected: string): Promise<void> {
  const socket = [...node.io.sockets.sockets.values()].find(({ conn }) => sidOf(conn) === sid);
  if (socket === undefined) throw new Error('the node has no such session');
  expect(await once(socket, 'disconnect')).toEqual([expected, expect.anything()]);
}

/** Engine.IO keeps it to itself as far as types go. */
function sidOf(connection: object): unknown {
  return 'id' in connection ? connection.id : undefined;
}

describe('a real node hears of a client that leaves', () => {
  test('while its poll is held', async () => {
    const target = (sid: string): string => `/socket.io/?EIO=4&transport=polling&sid=${sid}`;
    await expectNoticedSoon(
      'held poll',
      async (client) => {
        const { sid, node } = await connectedSession();
        const asked = once(node.server, 'request');
        client.send(get(target(sid)));
        await withDeadline(asked, 5_000, 'the poll arrives');
        return { noticed: heard(node, sid, 'transport error') };
      },
      router.port,
    );
    await untilIdle(router);
  });

  test('in the middle of its POST', async () => {
    await expectNoticedSoon(
      'POST half sent',
      async (client) => {
        const { sid, node } = await connectedSession();
        const asked = once(node.server, 'request');
        client.send(
          `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: chat\r\n` +
            `Content-Type: text/plain\r\nContent-Length: 100000\r\n\r\n42["echo","${'x'.repeat(20_000)}`,
        );
        await withDeadline(asked, 5_000, 'the POST arrives');
        return { noticed: heard(node, sid, 'transport error') };
      },
      router.port,
    );
    await untilIdle(router);
  });

  test('after its upgrade', async () => {
    await expectNoticedSoon(
      'WebSocket',
      async (client) => {
        client.send(UPGRADE);
        await client.until(/101 Switching/);
        client.socket.write(frame('40', { masked: true }));
        const welcome = /40\{"sid":"([\w-]+)"\}[^]*"welcome","([^"]+)"/;
        const [, id = '', name] = welcome.exec(await client.until(welcome)) ?? [];
        const socket = nodes.find((node) => node.name === name)?.io.sockets.sockets.get(id);
        if (socket === undefined) throw new Error('no node has this connection');
        return { noticed: once(socket, 'disconnect') };
      },
      router.port,
    );
    await untilIdle(router);
  });
});

const UPGRADE = get(
  '/socket.io/?EIO=4&transport=websocket',
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
);
const SID = 'lv_VI97HAXpY6yYWAAAB';
const OPEN = `0{"sid":"${SID}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}`;

interface Mute {
  readonly raw: RawUpstream;
  readonly router: TestRouter;
  /** Resolves with the connection when a further request has arrived on it. */
  readonly asked: () => Promise<Socket>;
}

/** A router in front of an upstream that opens one session and then only says what `answer` does. */
async function startMute(answer?: (socket: Socket, head: string) => void): Promise<Mute> {
  const waiting: ((socket: Socket) => void)[] = [];
  const raw = await startRawUpstream((socket) => {
    onRequestHead(socket, (head) => {
      waiting.shift()?.(socket);
      answer?.(socket, head);
    });
  });
  forOne.add(raw);
  const upstreams = [`http://127.0.0.1:${String(raw.port)}`];
  const own = forOne.add(await startTestRouter({ upstreams, health: { check: 'tcp' } }));
  const asked = async (): Promise<Socket> =>
    withDeadline(new Promise((resolve) => waiting.push(resolve)), 5_000, 'the upstream is asked');
  return { raw, router: own, asked };
}

/** Answers handshakes over polling and nothing else. */
function openOnly(socket: Socket, head: string): void {
  if (head.includes('sid=') || head.includes('websocket')) return;
  socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${String(OPEN.length)}\r\n\r\n${OPEN}`);
}

describe('an upstream hears of a client that leaves', () => {
  test('before its handshake is answered', async () => {
    const { raw, router: own, asked } = await startMute();
    await expectNoticedSoon(
      'handshake not answered',
      async (client) => {
        const arrived = asked();
        client.send(get('/socket.io/?EIO=4&transport=polling'));
        return { noticed: closed(await arrived) };
      },
      own.port,
    );
    await untilIdle(own);
    expect(raw.open()).toBe(0);
  });

  test('in the middle of an answer that it does not read', async () => {
    const {
      raw,
      router: own,
      asked,
    } = await startMute((socket, head) => {
      openOnly(socket, head);
      if (!head.includes('sid=')) return;
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n`);
      const more = (): void => {
        while (socket.writable && socket.write(Buffer.alloc(65_536, 'x')));
      };
      socket.on('drain', more);
      more();
    });
    expect(await openSession(own.url)).toBe(SID);
    await expectNoticedSoon(
      'answer half read',
      async (client) => {
        const arrived = asked();
        client.send(get(`/socket.io/?EIO=4&transport=polling&sid=${SID}`));
        const socket = await arrived;
        await client.until(/200 OK[^]*xxx/);
        client.socket.pause();
        return { noticed: closed(socket) };
      },
      own.port,
    );
    await untilIdle(own);
    expect(raw.open()).toBe(0);
  });

  test.each([
    ['a WebSocket handshake', UPGRADE],
    ['the upgrade of its session', UPGRADE.replace('websocket ', `websocket&sid=${SID} `)],
  ])('before %s is answered by a 101', async (what, request) => {
    const { raw, router: own, asked } = await startMute(openOnly);
    expect(await openSession(own.url)).toBe(SID);
    await expectNoticedSoon(
      `${what} not answered`,
      async (client) => {
        const arrived = asked();
        client.send(request);
        return { noticed: closed(await arrived) };
      },
      own.port,
    );
    await untilIdle(own);
    expect(raw.open()).toBe(0);
  });
});

describe('a client that leaves while Redis is asked', () => {
  test('for its new session’s binding leaves neither binding nor session', async () => {
    const redis = forOne.add(await startRedis());
    const proxy = forOne.add(await startDelayProxy(redis.port));
    const upstream = forOne.add(await startNamingUpstream('chat', { sidFor: () => SID }));
    const own = forOne.add(
      await startTestRouter({
        store: { redis: { url: `redis://127.0.0.1:${String(proxy.port)}`, commandTimeout: '5s' } },
        upstreams: [upstream.url],
        health: { check: 'tcp' },
      }),
    );
    for (const leave of LEAVES) {
      proxy.freeze();
      const client = new RawClient(own.port);
      client.send(get('/socket.io/?EIO=4&transport=polling'));
      await eventually(() => upstream.open.size === 1, 5_000, 'the upstream opens a session');
      leave(client.socket);
      await client.untilClosed();
      proxy.thaw();
      await eventually(() => upstream.open.size === 0, 5_000, 'the session is closed');
      await eventually(
        async () => (await poll(own.url, SID)).startsWith('400'),
        5_000,
        'the binding is gone',
      );
    }
    expect(upstream.strays()).toBe(0);
    await untilIdle(own);
  });

  test('for its owner costs the session nothing', async () => {
    const redis = forOne.add(await startRedis());
    const proxy = forOne.add(await startDelayProxy(redis.port));
    const upstream = forOne.add(await startNamingUpstream('chat', { sidFor: () => SID }));
    const keys = { upstreams: [upstream.url], health: { check: 'tcp' } };
    const first = forOne.add(await startTestRouter({ ...keys, store: redis.url }));
    await openSession(first.url);
    for (const leave of LEAVES) {
      const own = forOne.add(
        await startTestRouter({
          ...keys,
          store: {
            redis: { url: `redis://127.0.0.1:${String(proxy.port)}`, commandTimeout: '5s' },
          },
        }),
      );
      const before = upstream.requests.length;
      proxy.freeze();
      const client = new RawClient(own.port);
      client.send(get(`/socket.io/?EIO=4&transport=polling&sid=${SID}`));
      await eventually(() => lookUps(own) === 1, 5_000, 'Redis is asked');
      leave(client.socket);
      await client.untilClosed();
      proxy.thaw();
      expect(await poll(own.url, SID)).toBe('200 4chat');
      expect(upstream.requests.length - before).toBe(1);
      await untilIdle(own);
    }
  });
});

function lookUps({ router: running }: TestRouter): number {
  return (running.status() as { lookUps: { misses: number } }).lookUps.misses;
}

test('in the end not one socket is left in the router, the nodes and the clients', async () => {
  // All of them live in this process. Idle connections to nodes are kept for 4 s.
  const left = (): number =>
    process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length;
  await eventually(() => left() === 0, 8_000, 'every socket is closed');
  for (const { server } of nodes) {
    const count = await new Promise((resolve) => {
      server.getConnections((_error, open) => resolve(open));
    });
    expect(count).toBe(0);
  }
  await untilIdle(router);
});
