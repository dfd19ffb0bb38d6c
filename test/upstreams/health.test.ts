import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { afterEach, describe, expect, test } from 'vitest';
import type { HealthCheck, UpstreamConfig } from '../../src/config/config.ts';
import { HealthChecker } from '../../src/upstreams/health.ts';
import { UpstreamPool } from '../../src/upstreams/pool.ts';
import type { Upstream } from '../../src/upstreams/upstream.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { recordingLog } from '../helpers/recording-log.ts';

const INTERVAL_MS = 15;
const EIO3_OPEN = '69:0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":60000}';
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Watched {
  readonly pool: UpstreamPool;
  readonly checker: HealthChecker;
  readonly upstream: Upstream;
  /** Resolves with the next check's result that satisfies the condition. */
  readonly until: (condition: (result: object) => boolean, label: string) => Promise<object>;
}

function configOf(port: number): UpstreamConfig {
  const host = '127.0.0.1';
  return { id: 'a', url: `http://${host}:${String(port)}`, host, port, tls: false, weight: 1 };
}

function watch(
  port: number,
  check: HealthCheck = { kind: 'handshake' },
  timeoutMs = 2_000,
): Watched {
  const waiters = new Set<(result: object) => void>();
  const { log } = recordingLog((line) => {
    if (line['msg'] !== 'health check') return;
    for (const waiter of [...waiters]) waiter(line);
  });
  const pool = new UpstreamPool({
    upstreams: [configOf(port)],
    policy: 'random',
    load: () => 0,
    log,
  });
  const checker = new HealthChecker({
    pool,
    health: { intervalMs: INTERVAL_MS, timeoutMs, check },
    paths: ['/socket.io/'],
    log,
  });
  cleanups.push(() => checker.close());
  checker.start();
  const [upstream] = pool.all;
  if (upstream === undefined) throw new Error('pool is empty');
  const until: Watched['until'] = async (condition, label) => {
    const seen = new Promise<object>((resolve) => {
      const waiter = (result: object): void => {
        if (!condition(result)) return;
        waiters.delete(waiter);
        // The verdict follows the log line in the same turn.
        setImmediate(() => {
          resolve(result);
        });
      };
      waiters.add(waiter);
    });
    return withDeadline(seen, 5_000, label);
  };
  return { pool, checker, upstream, until };
}

const passed = (result: object): boolean => 'passed' in result && result.passed === true;
const failed = (result: object): boolean => !passed(result);

async function death(upstream: Upstream): Promise<void> {
  const died = new Promise<void>((resolve) => upstream.onDead(resolve));
  if (!upstream.dead) await withDeadline(died, 5_000, 'upstream is declared dead');
}

async function listen(server: net.Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function startHttp(listener: http.RequestListener): Promise<number> {
  const server = http.createServer(listener);
  cleanups.push(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, 'close');
  });
  return listen(server);
}

async function startSocketIo(): Promise<{ io: Server; port: number }> {
  const server = http.createServer();
  const io = new Server(server);
  cleanups.push(() => io.close());
  return { io, port: await listen(server) };
}

/** A port where nobody listens. */
async function deadPort(): Promise<number> {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  await once(server, 'close');
  return port;
}

describe('handshake check', () => {
  test('passes on a socket.io server and leaves no session behind', async () => {
    const { io, port } = await startSocketIo();
    let opened = 0;
    let closed = 0;
    io.engine.on('connection', (session: { once: (event: string, f: () => void) => void }) => {
      opened++;
      session.once('close', () => closed++);
    });
    const { checker, upstream, until } = watch(port);
    for (let i = 0; i < 5; i++) await until(passed, 'check passes');
    await checker.close();
    expect(upstream.health).toBe('healthy');
    expect(opened).toBeGreaterThanOrEqual(5);
    expect([closed, io.engine.clientsCount]).toEqual([opened, 0]);
  });

  test('falls back to EIO=3 where 4 is refused, and remembers it', async () => {
    const asked: string[] = [];
    const port = await startHttp((request, response) => {
      const url = request.url ?? '';
      asked.push(`${request.method ?? ''} ${url}`);
      const refusal = '{"code":5,"message":"Unsupported protocol version"}';
      if (!url.includes('EIO=3')) response.writeHead(400).end(refusal);
      else response.end(request.method === 'POST' ? 'ok' : EIO3_OPEN);
    });
    const { until } = watch(port);
    await until(passed, 'first check passes');
    await until(passed, 'second check passes');
    const path = '/socket.io/?EIO=3&transport=polling';
    const session = [`GET ${path}`, `POST ${path}&sid=abc`];
    expect(asked.slice(0, 5)).toEqual([
      'GET /socket.io/?EIO=4&transport=polling',
      ...session,
      ...session,
    ]);
  });

  test('takes a refusal by the application as a sign of life', async () => {
    const port = await startHttp((_request, response) => response.writeHead(403).end());
    const { upstream, until } = watch(port);
    await until(passed, 'check passes');
    expect(upstream.health).toBe('healthy');
  });

  test('makes a server that answers 500 unhealthy, never dead', async () => {
    const port = await startHttp((_request, response) => response.writeHead(500).end());
    const { upstream, until } = watch(port);
    for (let i = 0; i < 4; i++) await until(failed, 'check fails');
    expect([upstream.health, upstream.available]).toEqual(['unhealthy', false]);
  });

  test('declares a port that refuses dead', async () => {
    const { upstream, pool } = watch(await deadPort());
    await death(upstream);
    expect(pool.pick(new Set())).toBeUndefined();
  });

  test('declares a server that accepts and says nothing dead, and closes its own sockets', async () => {
    const closes: Promise<unknown>[] = [];
    const server = net.createServer((socket) => {
      socket.resume();
      closes.push(once(socket, 'close'));
    });
    cleanups.push(() => void server.close());
    const { upstream, checker } = watch(await listen(server), { kind: 'handshake' }, 30);
    await death(upstream);
    await checker.close();
    await withDeadline(Promise.all(closes), 1_000, 'no connection of a check stays open');
  });

  test('declares a server that resets dead', async () => {
    const server = net.createServer((socket) => socket.resetAndDestroy());
    cleanups.push(() => void server.close());
    const { upstream } = watch(await listen(server));
    await death(upstream);
    expect(upstream.dead).toBe(true);
  });

  test.each([
    ['an uninvited 101', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
    ['what is not HTTP', 'SSH-2.0-OpenSSH_9.2\r\n'],
  ])('is not confused by %s', async (_what, bytes) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.end(bytes);
    });
    cleanups.push(() => void server.close());
    const { upstream } = watch(await listen(server));
    await death(upstream);
    expect(upstream.dead).toBe(true);
  });

  test('fails, as answered, when the answer never ends', async () => {
    const port = await startHttp((_request, response) => response.write('0{"sid"'));
    const { upstream, until } = watch(port, { kind: 'handshake' }, 40);
    const result = await until(failed, 'check fails');
    expect(result).toMatchObject({ answered: true, reason: 'not complete within 40 ms' });
    await until(failed, 'check fails again');
    expect(upstream.health).toBe('unhealthy');
  });

  test('brings an upstream back as soon as it answers again', async () => {
    const port = await deadPort();
    const { upstream, until } = watch(port);
    await death(upstream);
    const server = http.createServer((_request, response) => response.end('hello'));
    cleanups.push(() => void server.close());
    await listen(server, port);
    await until(passed, 'check passes');
    expect(upstream.available).toBe(true);
  });

  test('does not let an upstream flap that fails every other time', async () => {
    let count = 0;
    const port = await startHttp((_request, response) => {
      response.writeHead(count++ % 2 === 0 ? 500 : 200).end();
    });
    const { upstream, until } = watch(port);
    for (let i = 0; i < 4; i++) {
      await until(failed, 'check fails');
      expect(upstream.health).toBe('healthy');
    }
  });
});

describe('other checks', () => {
  test('tcp passes where something listens', async () => {
    const server = net.createServer((socket) => {
      socket.on('error', () => socket.destroy());
      socket.resume();
    });
    cleanups.push(() => void server.close());
    const { until } = watch(await listen(server), { kind: 'tcp' });
    await until(passed, 'check passes');
  });

  test('tcp fails where nothing listens', async () => {
    const { upstream } = watch(await deadPort(), { kind: 'tcp' });
    await death(upstream);
    expect(upstream.dead).toBe(true);
  });

  test.each([
    [204, true],
    [302, true],
    [404, false],
    [503, false],
  ])('http with status %i: passes is %s', async (status, passes) => {
    const asked = new Set<string | undefined>();
    const port = await startHttp((request, response) => {
      asked.add(request.url);
      response.writeHead(status).end();
    });
    const { until } = watch(port, { kind: 'http', path: '/healthz?deep=1' });
    expect(passed(await until(() => true, 'a check ends'))).toBe(passes);
    expect([...asked]).toEqual(['/healthz?deep=1']);
  });
});

describe('life cycle', () => {
  test('checks of one upstream never overlap', async () => {
    let open = 0;
    let most = 0;
    const port = await startHttp((_request, response) => {
      open++;
      most = Math.max(most, open);
      response.once('close', () => open--);
      setTimeout(() => response.end('slow'), 3 * INTERVAL_MS);
    });
    const { until } = watch(port);
    for (let i = 0; i < 3; i++) await until(passed, 'check passes');
    expect(most).toBe(1);
  });

  test('follows the pool: a new upstream is checked, a removed one no more', async () => {
    const requests: string[] = [];
    const port = await startHttp((request, response) => {
      requests.push(request.headers.host ?? '');
      response.end('hello');
    });
    const { pool, until } = watch(port);
    await until(passed, 'first is checked');
    pool.apply([{ ...configOf(port), id: 'b', host: 'localhost' }], 'random');
    await until((result) => 'upstream' in result && result.upstream === 'b', 'second is checked');
    requests.length = 0;
    await until(passed, 'another check');
    await until(passed, 'another check');
    expect(new Set(requests)).toEqual(new Set([`localhost:${String(port)}`]));
  });

  test('takes over new settings', async () => {
    const asked: (string | undefined)[] = [];
    const port = await startHttp((request, response) => {
      asked.push(request.url);
      response.end('hello');
    });
    const { checker, until } = watch(port);
    await until(passed, 'check passes');
    const check = { kind: 'http', path: '/new' } as const;
    checker.apply({ health: { intervalMs: INTERVAL_MS, timeoutMs: 500, check }, paths: ['/'] });
    await until(passed, 'check passes');
    await until(passed, 'check passes');
    expect(asked.at(-1)).toBe('/new');
  });
});
