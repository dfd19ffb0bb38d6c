import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { RedisStoreConfig } from '../../src/config/config.ts';
import type { RedisStore } from '../../src/sessions/redis-store.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import { eventually } from '../helpers/eventually.ts';
import { command, startCluster, startSentinel } from '../helpers/redis-topologies.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { binding, openStore, singleConfig, uniqueId } from './fixtures.ts';

const NONE = { overwrite: false, announce: false };
const OVERWRITE = { overwrite: true, announce: true };
const COMMAND_TIMEOUT_MS = 250;
/** The command timeout and half of it for a busy machine. */
const IN_TIME_MS = COMMAND_TIMEOUT_MS * 1.5;

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function open(config: RedisStoreConfig): ReturnType<typeof openStore> {
  const opened = await openStore(config);
  cleanups.push(() => opened.store.close());
  return opened;
}

async function redis(): Promise<RedisServer> {
  const server = await startRedis();
  cleanups.push(() => server.close());
  return server;
}

/** Milliseconds until every verb has failed with STORE_UNAVAILABLE, the slowest one. */
async function slowestFailure(store: RedisStore): Promise<number> {
  const some = binding(uniqueId('sid'), 'chat-1');
  const times = await Promise.all(
    [
      () => store.claim(some, NONE),
      () => store.ownerOf(some.sid),
      () => store.touch(some),
      () => store.release(some),
    ].map(async (verb) => {
      const start = performance.now();
      await expect(verb()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
      return performance.now() - start;
    }),
  );
  return Math.max(...times);
}

describe('while Redis is away', () => {
  test('verbs fail at once when it was killed, and work again soon after its restart', async () => {
    const server = await startRedis();
    const { store, events } = await open(singleConfig(server.url));
    const lost = events.next('unavailable');
    await server.close();
    await withDeadline(lost, 1_000, 'the loss is told');
    // Less than the limit of a command: none was waited for.
    expect(await slowestFailure(store)).toBeLessThan(200);

    const back = events.next('available');
    const resubscribed = events.next('gap');
    const again = await startRedis([], server.port);
    cleanups.push(() => again.close());
    await withDeadline(Promise.all([back, resubscribed]), 2_000, 'the store is back');
    expect(await store.claim(binding(uniqueId('sid'), 'chat-1'), NONE)).toEqual({
      kind: 'claimed',
    });
    const transitions = events.lines.filter((line) => line.includes('available'));
    expect(transitions).toEqual([
      'available',
      expect.stringMatching(/^unavailable: \S/),
      'available',
    ]);
  });

  test('verbs fail within the command timeout when it is frozen, then at once', async () => {
    const server = await redis();
    const { store, events } = await open(singleConfig(server.url));
    const lost = events.next('unavailable: commands time out');
    server.freeze();
    expect(await slowestFailure(store)).toBeLessThan(IN_TIME_MS);
    await withDeadline(lost, 100, 'the freeze is told');
    // Less than the limit of a command: none was waited for.
    expect(await slowestFailure(store)).toBeLessThan(200);

    const back = events.next('available');
    server.thaw();
    await withDeadline(back, 3_000, 'the store is back');
    await eventually(
      () => store.claim(binding(uniqueId('sid'), 'chat-1'), NONE),
      2_000,
      'claims work after the thaw',
    );
  });

  test('a store opened without Redis says why and connects when Redis comes', async () => {
    const gone = await startRedis();
    await gone.close();
    const { events } = await withDeadline(open(singleConfig(gone.url)), 3_000, 'gave up waiting');
    expect(events.lines[0]).toMatch(/^unavailable: .*ECONNREFUSED/);
    const back = events.next('available');
    const server = await startRedis([], gone.port);
    cleanups.push(() => server.close());
    await withDeadline(back, 2_000, 'the store connects');
  });

  test('a wrong password is named as such and not repeated', async () => {
    const server = await startRedis(['--requirepass', 'right']);
    cleanups.push(() => server.close());
    const { events } = await open(singleConfig(server.url, { password: 'wrong-secret' }));
    expect(events.lines[0]).toMatch(/^unavailable: WRONGPASS/);
    expect(events.lines.join()).not.toContain('wrong-secret');
  });

  test('a server out of memory refuses claims, still answers look-ups, and is told unavailable', async () => {
    const server = await redis();
    const { store, events } = await open(singleConfig(server.url));
    const known = binding(uniqueId('sid'), 'chat-1');
    await store.claim(known, NONE);
    await command(server.port, ['CONFIG', 'SET', 'maxmemory', '1']);
    await expect(store.claim(binding(uniqueId('sid'), 'chat-1'), NONE)).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('OOM') as string,
    });
    expect(await store.ownerOf(known.sid)).toEqual(known);
    expect(events.lines.at(-1)).toMatch(/^unavailable: .*OOM/);
    await command(server.port, ['CONFIG', 'SET', 'maxmemory', '0']);
    await store.touch(known);
    expect(events.lines.at(-1)).toBe('available');
  });
});

test('a claim that timed out and lands late does not replace a newer one', async () => {
  const server = await redis();
  const proxy = await startDelayProxy(server.port);
  cleanups.push(() => proxy.close());
  const { store: stalled } = await open(singleConfig(proxy.port));
  const { store: healthy } = await open(singleConfig(server.url));
  const late = binding(uniqueId('sid'), 'chat-1');
  const newer = binding(late.sid, 'chat-2');
  const alone = binding(uniqueId('sid'), 'chat-1');

  proxy.freeze();
  const outcomes = Promise.allSettled([
    stalled.claim(late, OVERWRITE),
    stalled.claim(alone, OVERWRITE),
  ]);
  expect((await outcomes).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await healthy.claim(newer, OVERWRITE);
  proxy.thaw();

  await eventually(
    async () => (await healthy.ownerOf(alone.sid)) !== undefined,
    2_000,
    'the stalled claims land',
  );
  expect(await healthy.ownerOf(late.sid)).toEqual(newer);
  expect(await healthy.touch(newer)).toEqual({ kind: 'touched' });
});

describe('what replicas tell each other', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());

  test('a store knows its peers as soon as it is open, and they know it', async () => {
    const a = await open(singleConfig(server.url));
    a.store.publishCounts(new Map([['chat-1', 7]]));
    const b = await open(singleConfig(server.url));
    expect([...b.events.peers]).toEqual([[a.replica, new Map([['chat-1', 7]])]]);
    expect([...a.events.peers.keys()]).toEqual([b.replica]);
    const gone = a.events.next(`peer ${b.replica}`);
    await b.store.close();
    await withDeadline(gone, 1_000, 'the peer said good-bye');
    expect(a.events.peers.size).toBe(0);
  });

  test('a peer that falls silent is gone after five seconds', async () => {
    const proxy = await startDelayProxy(server.port);
    cleanups.push(() => proxy.close());
    const a = await open(singleConfig(server.url));
    const b = await open(singleConfig(proxy.port));
    expect([...a.events.peers.keys()]).toEqual([b.replica]);
    const silentFrom = performance.now();
    proxy.freeze();
    await withDeadline(
      a.events.until(() => a.events.peers.size === 0),
      8_000,
      'the silent peer is gone',
    );
    expect(performance.now() - silentFrom).toBeGreaterThan(2_900);
  });

  test('a release is told to the others', async () => {
    const a = await open(singleConfig(server.url));
    const b = await open(singleConfig(server.url));
    const mine = binding(uniqueId('sid'), 'chat-1');
    await a.store.claim(mine, NONE);
    const told = b.events.next(`forget ${mine.sid}`);
    await a.store.release(mine);
    await withDeadline(told, 1_000, 'the release is told');
    expect(a.events.lines).not.toContain(`forget ${mine.sid}`);
  });

  test('a first claim of a random sid is told to nobody', async () => {
    const a = await open(singleConfig(server.url));
    const b = await open(singleConfig(server.url));
    const quiet = binding(uniqueId('sid'), 'chat-1');
    const loud = binding(uniqueId('sid'), 'chat-1');
    await a.store.claim(quiet, NONE);
    await a.store.claim(loud, { overwrite: false, announce: true });
    expect(b.events.lines).toContain(`forget ${loud.sid}`);
    expect(b.events.lines).not.toContain(`forget ${quiet.sid}`);
  });

  test('an overwrite waits for a peer that does not answer, but not for ever', async () => {
    const proxy = await startDelayProxy(server.port);
    cleanups.push(() => proxy.close());
    const a = await open(singleConfig(server.url));
    await open(singleConfig(proxy.port));
    const mine = binding(uniqueId('sid'), 'chat-1');
    await a.store.claim(mine, NONE);
    proxy.freeze();
    const start = performance.now();
    await a.store.claim(binding(mine.sid, 'chat-2'), OVERWRITE);
    expect(performance.now() - start).toBeGreaterThan(240);
    expect(performance.now() - start).toBeLessThan(500);
  });

  test('a cut subscription is a gap, and another when it stands again', async () => {
    const proxy = await startDelayProxy(server.port);
    cleanups.push(() => proxy.close());
    const { events } = await open(singleConfig(proxy.port));
    const gaps = (): number => events.lines.filter((line) => line === 'gap').length;
    const before = gaps();
    proxy.cut();
    await withDeadline(
      events.until(() => gaps() === before + 2),
      2_000,
      'two gaps are told',
    );
  });

  test('a subscription whose server is frozen is found out', async () => {
    const frozen = await redis();
    const { events } = await open(singleConfig(frozen.url));
    const gap = events.next('gap');
    frozen.freeze();
    await withDeadline(gap, 4_000, 'the gap is told');
  });
});

test('nothing is left open by a closed store', async () => {
  const server = await redis();
  const before = process.getActiveResourcesInfo().sort();
  const { store } = await openStore(singleConfig(server.url));
  await store.ownerOf('a');
  await store.close();
  await eventually(
    () => process.getActiveResourcesInfo().sort().join() === before.join(),
    1_000,
    'sockets and timers are gone',
  );
});

describe('Sentinel', () => {
  test.each(['killed', 'frozen'] as const)(
    'a master that is %s is left for the promoted replica',
    async (fault) => {
      const sentinel = await startSentinel();
      cleanups.push(() => sentinel.close());
      const { sentinels, name, master } = sentinel;
      const topology = { kind: 'sentinel', sentinels, name, sentinelPassword: undefined } as const;
      const { store, events } = await open({ ...singleConfig(0), topology });
      const before = binding(uniqueId('sid'), 'chat-1');
      await store.claim(before, NONE);
      // Replication is asynchronous: a failover may lose what the replica does not have yet.
      await eventually(
        async () => (await command(sentinel.replica.port, ['DBSIZE'])) === 1,
        5_000,
        'the replica has the claim',
      );

      const lost = events.next('unavailable');
      if (fault === 'killed') await master.close();
      else master.freeze();
      const after = binding(uniqueId('sid'), 'chat-2');
      await eventually(() => store.claim(after, NONE), 10_000, 'the new master takes claims');
      await withDeadline(lost, 100, 'the loss was told');
      expect(await store.ownerOf(before.sid)).toEqual(before);
      expect(await store.ownerOf(after.sid)).toEqual(after);
    },
    30_000,
  );
});

describe('Cluster', () => {
  test('an overwrite is told across nodes, and the sids of living nodes survive the loss of one', async () => {
    const cluster = await startCluster();
    cleanups.push(() => cluster.close());
    // By default a Cluster that misses slots serves none.
    for (const { port } of cluster.servers) {
      await command(port, ['CONFIG', 'SET', 'cluster-require-full-coverage', 'no']);
    }
    const config = {
      ...singleConfig(0),
      topology: { kind: 'cluster', nodes: cluster.nodes },
    } as const;
    const a = await open(config);
    const b = await open(config);
    const held = Array.from({ length: 30 }, () => binding(uniqueId('sid'), 'chat-1'));
    await Promise.all(held.map((claim) => a.store.claim(claim, NONE)));
    await Promise.all(held.map(({ sid }) => a.store.claim(binding(sid, 'chat-2'), OVERWRITE)));
    const told = new Set(b.events.lines.filter((line) => line.startsWith('forget')));
    expect(told.size).toBe(held.length);

    await cluster.servers[0]?.close();
    await eventually(
      async () => {
        const looks = held.map(({ sid }) => b.store.ownerOf(sid));
        const found = (await Promise.allSettled(looks)).filter(
          ({ status }) => status === 'fulfilled',
        );
        return found.length >= 10 && found.length < held.length;
      },
      5_000,
      'the other nodes answer',
    );
  }, 30_000);
});
