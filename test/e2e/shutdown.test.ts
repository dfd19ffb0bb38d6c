import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { Closers } from '../helpers/closers.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { eventually } from '../helpers/eventually.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream, SessionRequest } from '../helpers/patient-upstream.ts';
import { openSession, pollingTarget } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startRawUpstream } from '../helpers/raw-upstream.ts';
import { startRedis } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';

/** Ending takes half a second at most; the rest is for a busy machine. */
const AT_ONCE_MS = 2_000;
const UPGRADE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '',
].join('\r\n');
const STOPPING = 'stopping: a second signal ends at once';

const forOne = new Closers();
afterEach(() => forOne.close());

interface Serving {
  readonly program: CommandLine;
  readonly upstream: PatientUpstream;
  readonly url: string;
  readonly port: number;
}

async function serve(keys: Readonly<Record<string, unknown>> = {}): Promise<Serving> {
  const upstream = forOne.add(await startPatientUpstream('chat'));
  const program = forOne.add(
    new CommandLine({
      upstreams: upstream.url,
      routes: [{ path: '/app/', proxy: upstream.url }],
      ...keys,
    }),
  );
  const url = await program.url();
  return { program, upstream, url, port: Number(new URL(url).port) };
}

interface HeldPoll {
  readonly client: RawClient;
  readonly held: SessionRequest;
}

async function holdPoll({ url, port, upstream }: Serving): Promise<HeldPoll> {
  const sid = await openSession(url);
  const client = forOne.add(new RawClient(port));
  client.send(`GET ${pollingTarget('', sid)} HTTP/1.1\r\nHost: a\r\n\r\n`);
  return { client, held: await upstream.request() };
}

interface Tunnel {
  readonly client: WebSocket;
  readonly server: WebSocket;
}

async function openTunnel(
  { url, upstream }: Serving,
  path = '/socket.io/?EIO=4&transport=websocket',
): Promise<Tunnel> {
  const client = new WebSocket(`${url.replace('http', 'ws')}${path}`);
  client.on('error', () => undefined);
  forOne.add({
    close: () => {
      client.terminate();
    },
  });
  const [server] = await Promise.all([upstream.socket(), once(client, 'message')]);
  return { client, server };
}

async function expectWorking({ client, server }: Tunnel): Promise<void> {
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    const arrived = once(to, 'message') as Promise<[Buffer]>;
    from.send('4still here');
    const [data] = await withDeadline(arrived, 2_000, 'a message through the tunnel');
    expect(data.toString()).toBe('4still here');
  }
}

async function connectError(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const outcome = await Promise.race([
    once(socket, 'error').then(([error]) => (error as NodeJS.ErrnoException).code ?? ''),
    once(socket, 'connect').then(() => 'connected'),
  ]);
  socket.destroy();
  return outcome;
}

async function stop({ program, port }: Serving): Promise<void> {
  program.signal('SIGTERM');
  await program.logged(STOPPING);
  const refused = async (): Promise<boolean> => (await connectError(port)) === 'ECONNREFUSED';
  await eventually(refused, 2_000, 'no new connection is accepted');
}

describe('SIGTERM', () => {
  test('lets polls end with their own answers, and then ends with 0', async () => {
    const serving = await serve();
    const { client, held } = await holdPoll(serving);
    await stop(serving);
    held.res.end('4the answer');
    const answer = await client.untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer).toMatch(/\r\nConnection: close\r\n/i);
    expect(answer).toMatch(/\r\n\r\n4the answer$/);
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(0);
    expect(serving.program.stderr).toBe('');
  });

  test('lets a request that is on its way be answered, a new session as well', async () => {
    const serving = await serve();
    const client = forOne.add(new RawClient(serving.port));
    client.send(`GET ${pollingTarget('')} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.until(/"sid":"chat-0"/);
    client.send(`GET ${pollingTarget('')} HTTP/1.1\r\nHo`);
    // Whatever follows on another connection has been read after that.
    await openSession(serving.url);
    await stop(serving);
    client.send('st: a\r\n\r\n');
    const answer = await client.untilClosed();
    expect(client.statuses).toEqual([200, 200]);
    expect(answer).toMatch(/\r\nConnection: close\r\n[^]*"sid":"chat-2"[^]*$/i);
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(0);
  });

  test.each([
    ['of sessions', undefined],
    ['of web applications', '/app/live'],
  ])('lets tunnels %s go on until they end by themselves', async (_whose, path) => {
    const serving = await serve();
    const tunnel = await openTunnel(serving, path);
    await stop(serving);
    await expectWorking(tunnel);
    tunnel.client.close();
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(0);
  });

  test('ends what is left after timeouts.shutdown', async () => {
    const serving = await serve({ timeouts: { shutdown: '1s' } });
    const tunnel = await openTunnel(serving);
    const { client } = await holdPoll(serving);
    const closed = once(tunnel.client, 'close');
    const startedMs = performance.now();
    await stop(serving);
    await expectWorking(tunnel);
    await withDeadline(closed, 5_000, 'the tunnel is closed');
    expect(performance.now() - startedMs).toBeGreaterThanOrEqual(900);
    const answer = await client.untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 503 [^]*"SHUTTING_DOWN"/);
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(0);
  });

  test.each<[NodeJS.Signals, number]>([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ])('and then %s end at once with %i, whatever is open', async (second, code) => {
    const serving = await serve();
    await openTunnel(serving);
    await holdPoll(serving);
    await stop(serving);
    serving.program.signal(second);
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(code);
  });

  test('ends at once when only idle connections are open, with Redis and admin listener', async () => {
    const redis = forOne.add(await startRedis());
    const serving = await serve({ store: redis.url, admin: '127.0.0.1:0' });
    const client = forOne.add(new RawClient(serving.port));
    client.send(`GET ${pollingTarget('')} HTTP/1.1\r\nHost: a\r\n\r\n`);
    await client.until(/"sid":"chat-0"/);
    serving.program.signal('SIGTERM');
    expect(await serving.program.exit(AT_ONCE_MS)).toBe(0);
    expect(serving.program.lines.at(-1)).toMatchObject({ msg: 'stopped' });
    await client.untilClosed();
  });
});

test('ending at once sends no handshake to yet another upstream', async () => {
  const silent = [
    forOne.add(await startRawUpstream(() => undefined)),
    forOne.add(await startRawUpstream(() => undefined)),
  ];
  const front = await startTestRouter({
    upstreams: silent.map(({ port }) => `http://127.0.0.1:${String(port)}`),
    health: { interval: '1h', check: 'tcp' },
  });
  const clients = ['polling', 'websocket'].map((transport) => {
    const client = forOne.add(new RawClient(front.port));
    const upgrade = transport === 'websocket' ? UPGRADE : '';
    const target = pollingTarget('').replace('polling', transport);
    return client.send(`GET ${target} HTTP/1.1\r\nHost: a\r\n${upgrade}\r\n`);
  });
  const connections = (): readonly Socket[] => silent.flatMap(({ sockets }) => sockets);
  const asked = (): number => connections().filter(({ bytesRead }) => bytesRead > 0).length;
  await eventually(() => asked() === 2, 2_000, 'both handshakes are under way');
  await withDeadline(front.close(), AT_ONCE_MS, 'the router ends');
  for (const client of clients) {
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 503 [^]*"SHUTTING_DOWN"/);
  }
  expect(asked()).toBe(2);
});
