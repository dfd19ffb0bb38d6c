import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { WebSocket } from 'ws';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { eventually } from '../helpers/eventually.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream } from '../helpers/patient-upstream.ts';
import { ask, openSession, poll, pollingTarget } from '../helpers/polling.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

/** With these ping times a binding lives 200 ms and the margin of 30 s. */
const PINGS = { pingIntervalMs: 100, pingTimeoutMs: 100 };
const LIFETIME_MS = 30_200;
const UNKNOWN = '400 {"code":1,"message":"Session ID unknown"}';

const forOne = new Closers();
let upstream: PatientUpstream;
let router: TestRouter;

beforeEach(async () => {
  // The router's own clock: sockets, and the deadlines of this test, live in real time.
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  upstream = forOne.add(await startPatientUpstream('chat', PINGS));
  router = forOne.add(
    await startTestRouter({ upstreams: upstream.url, health: { interval: '1h', check: 'tcp' } }),
  );
});
afterEach(async () => {
  await forOne.close();
  vi.useRealTimers();
});

function sessions(): number {
  return (router.router.status() as { sessions: number }).sessions;
}

async function released(): Promise<void> {
  await eventually(() => sessions() === 0, 2_000, 'the binding is gone');
}

interface Tunnel {
  readonly client: WebSocket;
  readonly server: WebSocket;
}

async function openTunnel(sid?: string): Promise<Tunnel> {
  const target = pollingTarget(router.url.replace('http', 'ws'), sid);
  const client = new WebSocket(target.replace('polling', 'websocket'));
  client.on('error', () => undefined);
  forOne.add({ close: () => client.terminate() });
  const [server] = await Promise.all([upstream.socket(), once(client, 'open')]);
  return { client, server };
}

async function pass(from: WebSocket, to: WebSocket, text: string): Promise<void> {
  const arrived = once(to, 'message') as Promise<[Buffer]>;
  from.send(text);
  const [data] = await withDeadline(arrived, 2_000, `${text} arrives`);
  expect(data.toString()).toBe(text);
}

/** The probe and, if it is to finish, the upgrade packet. */
async function probe({ client, server }: Tunnel, finish: boolean): Promise<void> {
  await pass(client, server, '2probe');
  await pass(server, client, '3probe');
  if (finish) await pass(client, server, '5');
}

describe('a session is over, and its sid unknown', () => {
  test.each([
    ['a close packet', '1'],
    ['a close packet behind a message', '4bye\x1e1'],
  ])('after a POST of %s', async (_name, body) => {
    const sid = await openSession(router.url);
    const posted = ask(pollingTarget(router.url, sid), { method: 'POST', body });
    (await upstream.request()).res.end('ok');
    expect((await posted).status).toBe(200);
    expect(sessions()).toBe(0);
    expect(await poll(router.url, sid)).toBe(UNKNOWN);
  });

  test.each([
    ['a close packet', '1'],
    ['a close packet behind a message', '4bye\x1e1'],
  ])('after a poll that was answered with %s', async (_name, body) => {
    const sid = await openSession(router.url);
    const polled = poll(router.url, sid);
    (await upstream.request()).res.end(body);
    expect(await polled).toBe(`200 ${body}`);
    expect(sessions()).toBe(0);
    expect(await poll(router.url, sid)).toBe(UNKNOWN);
  });

  test.each(['client', 'server'] as const)(
    'after the %s has closed the WebSocket it was upgraded to',
    async (side) => {
      const tunnel = await openTunnel(await openSession(router.url));
      await probe(tunnel, true);
      expect(sessions()).toBe(1);
      tunnel[side].close();
      await released();
    },
  );

  test.each(['client', 'server'] as const)(
    'after the %s has closed the WebSocket it began with',
    async (side) => {
      const tunnel = await openTunnel();
      await eventually(() => sessions() === 1, 2_000, 'the session is bound');
      tunnel[side].terminate();
      await released();
    },
  );
});

test('a session that its server does not know is over, in however many reads it says so', async () => {
  const sid = await openSession(router.url);
  const polled = poll(router.url, sid);
  const { res } = await upstream.request();
  res.writeHead(400, { 'Content-Type': 'application/json' });
  res.write('{"code":1,"message":"Session ');
  // Once the first part has come through, the second cannot be in the same read.
  await eventually(() => res.socket?.bytesWritten !== 0, 2_000, 'the first part is sent');
  await new Promise((resolve) => setImmediate(resolve));
  res.end('ID unknown"}');
  expect(await polled).toBe(UNKNOWN);
  expect(router.counter('lostSessions')).toBe(1);
});

describe('a session goes on', () => {
  test('when a message only looks like a close packet', async () => {
    const sid = await openSession(router.url);
    const posted = ask(pollingTarget(router.url, sid), { method: 'POST', body: '41' });
    (await upstream.request()).res.end('ok');
    await posted;
    expect(sessions()).toBe(1);
  });

  test.each(['client', 'server'] as const)(
    'on polling when the %s breaks its WebSocket before the upgrade is finished',
    async (side) => {
      const sid = await openSession(router.url);
      const tunnel = await openTunnel(sid);
      await probe(tunnel, false);
      const other = side === 'client' ? tunnel.server : tunnel.client;
      const closed = once(other, 'close');
      tunnel[side].terminate();
      await withDeadline(closed, 2_000, 'the other side is closed');
      await eventually(
        () => (router.router.status() as { tunnels: number }).tunnels === 0,
        2_000,
        'the tunnel is over',
      );
      expect(sessions()).toBe(1);
      const polled = poll(router.url, sid);
      (await upstream.request()).res.end('4on polling');
      expect(await polled).toBe('200 4on polling');
    },
  );

  test('beyond its lifetime while its WebSocket lives, and not without', async () => {
    const idle = await openSession(router.url);
    const upgrading = await openSession(router.url);
    const upgraded = await openTunnel(upgrading);
    await probe(upgraded, true);
    const begun = await openTunnel();
    await eventually(() => sessions() === 3, 2_000, 'the third session is bound');
    // A second upgrade that ends says nothing about the first.
    const second = await openTunnel(upgrading);
    const over = once(second.server, 'close');
    second.client.terminate();
    await withDeadline(over, 2_000, 'the second WebSocket is over');

    for (let passedMs = 0; passedMs <= 2 * LIFETIME_MS; passedMs += 5_000) {
      vi.advanceTimersByTime(5_000);
      for (const { client, server } of [upgraded, begun]) await pass(server, client, '2');
    }
    expect(await poll(router.url, idle)).toBe(UNKNOWN);
    expect(sessions()).toBe(2);
    const polled = poll(router.url, upgrading);
    (await upstream.request()).res.end('6');
    expect(await polled).toBe('200 6');
  });
});
