import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import type { DelayProxy } from '../helpers/delay-proxy.ts';
import { eventually } from '../helpers/eventually.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream, SessionRequest } from '../helpers/patient-upstream.ts';
import { ask, openSession, pollingTarget } from '../helpers/polling.ts';
import type { Answer } from '../helpers/polling.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

/** From the log line that declares an upstream dead to the last of its clients. */
const AT_ONCE_MS = 200;

/** One upstream's clients: a poll that is held, and an open tunnel. */
interface Clients {
  readonly sid: string;
  readonly poll: Promise<Answer>;
  readonly held: SessionRequest;
  readonly tunnel: { readonly client: WebSocket; readonly server: WebSocket };
}

const closers = new Closers();
let proxy: DelayProxy;
let router: TestRouter;
let silent: Clients;
let good: Clients;
let diedAtMs = Infinity;

beforeAll(async () => {
  const upstreams = {
    silent: closers.add(await startPatientUpstream('silent')),
    good: closers.add(await startPatientUpstream('good')),
  };
  proxy = closers.add(await startDelayProxy(upstreams.silent.port));
  router = closers.add(
    await startTestRouter(
      {
        upstreams: [`http://127.0.0.1:${String(proxy.port)}`, upstreams.good.url],
        balance: 'round-robin',
        health: { interval: '200ms', timeout: '200ms' },
      },
      ({ msg }) => {
        if (msg === 'upstream is dead') diedAtMs = performance.now();
      },
    ),
  );
  const sids: string[] = [];
  for (let i = 0; i < 4; i += 1) sids.push(await openSession(router.url));
  const of = (name: string): string[] => sids.filter((sid) => sid.startsWith(name));
  silent = await startClients(of('silent'), upstreams.silent);
  good = await startClients(of('good'), upstreams.good);
});
afterAll(() => closers.close());

async function startClients(
  [polling = '', upgrading = '']: readonly string[],
  upstream: PatientUpstream,
): Promise<Clients> {
  const client = new WebSocket(
    pollingTarget(router.url.replace('http', 'ws'), upgrading).replace('polling', 'websocket'),
  );
  client.on('error', () => undefined);
  const [server] = await Promise.all([upstream.socket(), once(client, 'open')]);
  const poll = ask(pollingTarget(router.url, polling));
  return { sid: polling, poll, held: await upstream.request(), tunnel: { client, server } };
}

test('an upstream that falls silent is declared dead, and its clients hear of it at once', async () => {
  const tunnelClosed = once(silent.tunnel.client, 'close').then(() => performance.now());
  const pollAnswered = silent.poll.then((answer) => ({ answer, atMs: performance.now() }));
  proxy.freeze();
  const { answer, atMs } = await withDeadline(pollAnswered, 5_000, 'the held poll is answered');
  expect(answer.status).toBe(502);
  expect(JSON.parse(answer.body.toString())).toMatchObject({ code: 'UPSTREAM_DOWN' });
  expect(atMs - diedAtMs).toBeLessThan(AT_ONCE_MS);
  const closedAtMs = await withDeadline(tunnelClosed, 5_000, 'the tunnel is closed');
  expect(closedAtMs - diedAtMs).toBeLessThan(AT_ONCE_MS);
});

test('its sessions are refused at once while it is dead, and keep their bindings', async () => {
  const startedMs = performance.now();
  const { status, body } = await ask(pollingTarget(router.url, silent.sid));
  expect(performance.now() - startedMs).toBeLessThan(AT_ONCE_MS);
  expect([status, JSON.parse(body.toString())]).toMatchObject([502, { code: 'UPSTREAM_DOWN' }]);
});

test('new sessions all go to the other one', async () => {
  for (let i = 0; i < 4; i += 1) expect(await openSession(router.url)).toMatch(/^good/);
});

test('the clients of the other one were not disturbed', async () => {
  const { client, server } = good.tunnel;
  const message = once(client, 'message') as Promise<[Buffer]>;
  server.send('4still here');
  const [text] = await withDeadline(message, 5_000, 'a message through the tunnel');
  expect(text.toString()).toBe('4still here');
  good.held.res.end('4still here');
  const { status, body } = await good.poll;
  expect([status, body.toString()]).toEqual([200, '4still here']);
});

test('it is used again once it answers', async () => {
  proxy.thaw();
  const back = async (): Promise<boolean> => (await openSession(router.url)).startsWith('silent');
  await eventually(back, 5_000, 'a new session on it');
});
