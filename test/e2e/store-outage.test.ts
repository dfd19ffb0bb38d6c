import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { UnstickyError } from '../../src/errors.ts';
import { Closers } from '../helpers/closers.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { eventually } from '../helpers/eventually.ts';
import { freePort } from '../helpers/free-port.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { ask, openSession, poll, pollingTarget } from '../helpers/polling.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const PASSWORD = 'hunter2-secret';
const AWAY = 'session store cannot be used';
const BACK = 'session store can be used';
/** The first command that has to notice a silent Redis waits for `store.redis.commandTimeout`. */
const COMMAND_TIMEOUT_MS = 100;

const forAll = new Closers();
const forOne = new Closers();
let upstream: NamingUpstream;
let opened = 0;

beforeAll(async () => {
  const sidFor = (): string => `outage-sid-${String(opened++)}`;
  upstream = forAll.add(await startNamingUpstream('chat', { sidFor }));
});
afterEach(() => forOne.close());
afterAll(() => forAll.close());

async function startProtectedRedis(port?: number): Promise<RedisServer> {
  return forOne.add(await startRedis(['--requirepass', PASSWORD], port));
}

function configuration(redisPort: number): Record<string, unknown> {
  const redis = {
    url: `redis://:${PASSWORD}@127.0.0.1:${String(redisPort)}`,
    commandTimeout: `${String(COMMAND_TIMEOUT_MS)}ms`,
  };
  return { upstreams: upstream.url, store: { redis } };
}

async function startReplica(redisPort: number): Promise<TestRouter> {
  return forOne.add(await startTestRouter(configuration(redisPort)));
}

function messages(router: TestRouter, message: string): number {
  return router.lines.filter(({ msg }) => msg === message).length;
}

function available(router: TestRouter): boolean {
  return (router.router.status() as { store: { available: boolean } }).store.available;
}

/** Nothing that was logged tells a sid, not even an error of the Redis client, or the password. */
function expectNoSecrets(router: TestRouter): void {
  const text = JSON.stringify(router.lines);
  expect(text).not.toContain('outage-sid');
  expect(text).not.toContain(PASSWORD);
}

describe.each([
  ['killed', async (redis: RedisServer) => redis.close()],
  [
    'frozen',
    async (redis: RedisServer) => {
      redis.freeze();
    },
  ],
])('while Redis is %s', (_how, stop) => {
  let redis: RedisServer;
  let replicas: readonly [TestRouter, TestRouter];
  /** Known to both replicas, and to the first only. */
  let shared: string;
  let firstOnly: string;

  beforeEach(async () => {
    redis = await startProtectedRedis();
    const [first, second] = [await startReplica(redis.port), await startReplica(redis.port)];
    replicas = [first, second];
    shared = await openSession(first.url);
    firstOnly = await openSession(first.url);
    expect(await poll(second.url, shared)).toBe('200 4chat');
    await stop(redis);
  });

  test('sessions that a replica knows go on there', async () => {
    const [first, second] = replicas;
    for (let i = 0; i < 10; i += 1) {
      expect(await poll(first.url, shared)).toBe('200 4chat');
      expect(await poll(first.url, firstOnly)).toBe('200 4chat');
      expect(await poll(second.url, shared)).toBe('200 4chat');
    }
  });

  test('a session that it does not know gets 503 with Retry-After, never "unknown"', async () => {
    const [, second] = replicas;
    for (const sid of [firstOnly, 'outage-sid-of-nobody']) {
      for (let i = 0; i < 10; i += 1) {
        const { status, headers, body } = await ask(pollingTarget(second.url, sid), {
          headers: { origin: 'https://chat.example' },
        });
        expect(status).toBe(503);
        expect(headers).toMatchObject({
          'retry-after': '1',
          'access-control-allow-origin': 'https://chat.example',
        });
        expect(JSON.parse(body.toString())).toMatchObject({ code: 'STORE_UNAVAILABLE' });
      }
    }
    expect(second.counter('unknownSids')).toBe(0);
    expectNoSecrets(second);
  });

  test('new sessions begin and can be used at the same replica', async () => {
    const [first] = replicas;
    for (let i = 0; i < 5; i += 1) {
      const startedMs = performance.now();
      const sid = await openSession(first.url);
      expect(performance.now() - startedMs).toBeLessThan(10 * COMMAND_TIMEOUT_MS);
      expect(await poll(first.url, sid)).toBe('200 4chat');
    }
    expect(first.counter('unpublishedBindings')).toBe(5);
    await eventually(() => !available(first), 5_000, 'the replica notices');
    expect(messages(first, AWAY)).toBe(1);
    expectNoSecrets(first);
  });
});

test.each([
  [
    'a frozen Redis that goes on',
    async (redis: RedisServer, outage: () => Promise<void>) => {
      redis.freeze();
      await outage();
      redis.thaw();
    },
  ],
  [
    'a killed Redis that comes back empty',
    async (redis: RedisServer, outage: () => Promise<void>) => {
      await redis.close();
      await outage();
      await startProtectedRedis(redis.port);
    },
  ],
])('after the outage the other replica finds every session: %s', async (_name, goThrough) => {
  const redis = await startProtectedRedis();
  const [first, second] = [await startReplica(redis.port), await startReplica(redis.port)];
  const sids = [await openSession(first.url)];
  await goThrough(redis, async () => {
    for (let i = 0; i < 4; i += 1) sids.push(await openSession(first.url));
    await eventually(() => !available(first), 5_000, 'the replica notices');
  });
  for (const sid of sids) {
    const found = async (): Promise<boolean> => (await poll(second.url, sid)) === '200 4chat';
    await eventually(found, 10_000, 'the other replica finds the session');
  }
  expect([messages(first, AWAY), messages(first, BACK)]).toEqual([1, 2]);
});

describe('a Redis that cannot be reached at the start', () => {
  test('costs one clear warning, and sessions are shared once it is there', async () => {
    const port = await freePort();
    const first = await startReplica(port);
    expect(first.lines.filter(({ level }) => level === 'warn')).toEqual([
      expect.objectContaining({
        msg: AWAY,
        reason: expect.stringContaining('ECONNREFUSED') as string,
      }),
    ]);
    const sid = await openSession(first.url);
    expect(await poll(first.url, sid)).toBe('200 4chat');
    await startProtectedRedis(port);
    const second = await startReplica(port);
    const found = async (): Promise<boolean> => (await poll(second.url, sid)) === '200 4chat';
    await eventually(found, 10_000, 'the other replica finds the session');
    expect(messages(first, AWAY)).toBe(1);
    expectNoSecrets(first);
  });

  test('is an error of its own if it is required', async () => {
    const { upstreams, store } = configuration(await freePort());
    const required = { upstreams, store: { ...(store as object), required: true } };
    const failure = await startTestRouter(required).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toBeInstanceOf(UnstickyError);
    expect(failure).toMatchObject({ code: 'STORE_REQUIRED' });
    expect(String(failure)).toContain('ECONNREFUSED');
    expect(String(failure)).not.toContain(PASSWORD);
  });

  test('ends the command line with 69 and one line if it is required', async () => {
    const { upstreams, store } = configuration(await freePort());
    const required = { upstreams, store: { ...(store as object), required: true } };
    const program = forOne.add(new CommandLine(required));
    expect(await program.exit()).toBe(69);
    expect(program.stderr).toMatch(/^unsticky: store\.required is set [^\n]*ECONNREFUSED[^\n]*\n$/);
    expect(program.stderr + program.stdout).not.toContain(PASSWORD);
  });
});
