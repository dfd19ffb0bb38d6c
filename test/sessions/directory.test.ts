import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Directory } from '../../src/sessions/directory.ts';
import { MemoryStore } from '../../src/sessions/memory-store.ts';
import { RedisStore } from '../../src/sessions/redis-store.ts';
import type { Binding, StoreEvents } from '../../src/sessions/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { command } from '../helpers/redis-topologies.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { binding, openDirectory, singleConfig, uniqueId } from './fixtures.ts';

const TTL_MS = 60_000;
const FRESH = { ttlMs: TTL_MS, carried: false, holderLives: () => true };
const CARRIED = { ...FRESH, carried: true };

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function onMemory(
  options: {
    cachedBindings?: number;
    now?: () => number;
  } = {},
): Promise<Directory> {
  const { now } = options;
  const store = new MemoryStore({ maxBindings: 10_000, ...(now && { now }) });
  const directory = await openDirectory(() => store, options);
  cleanups.push(() => directory.close());
  return directory;
}

async function onRedis(port: number, now?: () => number): Promise<Directory> {
  const directory = await openDirectory(
    (replica) => new RedisStore({ config: singleConfig(port), replica }),
    now && { now },
  );
  cleanups.push(() => directory.close());
  return directory;
}

describe('what this replica knows', () => {
  test('a session just claimed is answered at once and without a promise', async () => {
    const directory = await onMemory();
    const outcome = await directory.claim(uniqueId('sid'), 'chat-1', FRESH);
    if (outcome.kind !== 'claimed') throw new Error('not claimed');
    expect(outcome).toMatchObject({
      published: true,
      session: { upstream: 'chat-1', ttlMs: TTL_MS },
    });
    expect(directory.ownerOf(outcome.session.sid)).toBe(outcome.session);
    expect(directory.counters).toMatchObject({ hits: 1, misses: 0 });
  });

  test('a released session is unknown at once', async () => {
    const directory = await onMemory();
    const sid = uniqueId('sid');
    await claimed(directory, sid, 'chat-1');
    const session = await known(directory, sid);
    directory.release(session);
    expect(await directory.ownerOf(sid)).toBeUndefined();
    expect(directory.load('chat-1')).toBe(0);
  });

  test('the release of a former session leaves the present one alone', async () => {
    const directory = await onMemory();
    const sid = uniqueId('sid');
    await claimed(directory, sid, 'chat-1');
    const former = await known(directory, sid);
    await directory.claim(sid, 'chat-2', CARRIED);
    directory.touch(former);
    directory.release(former);
    expect(await known(directory, sid)).toMatchObject({ upstream: 'chat-2' });
    expect([directory.load('chat-1'), directory.load('chat-2')]).toEqual([0, 1]);
  });

  test('the cache is bounded and what it lost is asked for again', async () => {
    const directory = await onMemory({ cachedBindings: 100 });
    const sids = Array.from({ length: 1_000 }, () => uniqueId('sid'));
    for (const sid of sids) await claimed(directory, sid, 'chat-1');
    expect(directory.sessionCount).toBe(100);
    expect(directory.load('chat-1')).toBe(100);
    expect(await known(directory, sids[0] ?? '')).toMatchObject({ upstream: 'chat-1' });
  });

  test('an expired session is never answered without asking the store', async () => {
    let now = 0;
    const directory = await onMemory({ now: () => now });
    const sid = uniqueId('sid');
    await claimed(directory, sid, 'chat-1');
    now = TTL_MS - 1;
    expect(directory.ownerOf(sid)).toMatchObject({ sid });
    now = TTL_MS;
    expect(await directory.ownerOf(sid)).toBeUndefined();
  });

  test('those of a dead upstream count no more, but keep their bindings for other replicas', async () => {
    const directory = await onMemory();
    const [lost, kept] = [uniqueId('sid'), uniqueId('sid')];
    await claimed(directory, lost, 'chat-1');
    await claimed(directory, kept, 'chat-2');
    directory.forgetUpstream('chat-1');
    expect([directory.load('chat-1'), directory.load('chat-2')]).toEqual([0, 1]);
    expect([...directory.sessions()]).toHaveLength(1);
    expect(await directory.ownerOf(lost)).toMatchObject({ upstream: 'chat-1' });
  });
});

describe('a sid that another upstream holds', () => {
  test('is a collision for a handshake that did not carry it', async () => {
    const directory = await onMemory();
    await claimed(directory, '7', 'chat-1');
    expect(await directory.claim('7', 'chat-2', FRESH)).toEqual({
      kind: 'collision',
      holder: 'chat-1',
    });
    expect(directory.counters.collisions).toBe(1);
    expect(await known(directory, '7')).toMatchObject({ upstream: 'chat-1' });
  });

  test('is taken by a handshake that carried it', async () => {
    const directory = await onMemory();
    await claimed(directory, '7', 'chat-1');
    expect(await directory.claim('7', 'chat-2', CARRIED)).toMatchObject({ kind: 'claimed' });
    expect(await known(directory, '7')).toMatchObject({ upstream: 'chat-2' });
  });

  test('is taken from an upstream that does not live', async () => {
    const directory = await onMemory();
    await claimed(directory, '7', 'chat-1');
    const outcome = await directory.claim('7', 'chat-2', { ...FRESH, holderLives: () => false });
    expect(outcome).toMatchObject({ kind: 'claimed', session: { upstream: 'chat-2' } });
  });

  test('is taken by a later handshake even if the holder’s clock is ahead', async () => {
    const store = new MemoryStore({ maxBindings: 10 });
    const generation = `${String((Date.now() + 3_600_000) * 1_000)}-ahead`;
    await store.claim(
      { sid: '7', upstream: 'chat-1', generation, ttlMs: TTL_MS },
      { overwrite: false, announce: false },
    );
    const directory = await openDirectory(() => store);
    cleanups.push(() => directory.close());
    expect(await directory.claim('7', 'chat-2', CARRIED)).toMatchObject({ kind: 'claimed' });
    expect(await store.ownerOf('7')).toMatchObject({ upstream: 'chat-2' });
  });
});

describe('on Redis', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());

  test('a hundred look-ups of one sid ask Redis once', async () => {
    const [a, b] = [await onRedis(server.port), await onRedis(server.port)];
    const sid = uniqueId('sid');
    await claimed(a, sid, 'chat-1');
    const before = await calls(server, 'get');
    const owners = await Promise.all(Array.from({ length: 100 }, async () => b.ownerOf(sid)));
    expect(new Set(owners.map((owner) => owner?.upstream))).toEqual(new Set(['chat-1']));
    expect((await calls(server, 'get')) - before).toBe(1);
  });

  test('a flood of one unknown sid asks Redis once a second', async () => {
    const directory = await onRedis(server.port);
    const sid = uniqueId('sid');
    const before = await calls(server, 'get');
    for (let i = 0; i < 100; i++) expect(await directory.ownerOf(sid)).toBeUndefined();
    expect((await calls(server, 'get')) - before).toBe(1);
    expect(directory.ownerOf(sid)).toBeUndefined();
  });

  test('a counter sid that was just unknown is found as soon as its claim elsewhere resolves', async () => {
    const [a, b] = [await onRedis(server.port), await onRedis(server.port)];
    for (let round = 0; round < 50; round++) {
      const sid = `c${String(round)}`;
      expect(await b.ownerOf(sid)).toBeUndefined();
      await claimed(a, sid, 'chat-1');
      expect(await b.ownerOf(sid)).toMatchObject({ upstream: 'chat-1' });
    }
  });

  test('touches reach Redis once per third of the time to live', async () => {
    let now = 0;
    const directory = await onRedis(server.port, () => now);
    const sid = uniqueId('sid');
    await claimed(directory, sid, 'chat-1');
    const session = await known(directory, sid);
    const before = await calls(server, 'pexpire');
    for (now = 0; now < TTL_MS; now += 100) {
      directory.touch(session);
      // The answer of a touch under way arrives between two requests, as it would in a second.
      if (now % 20_000 === 0) await eventually(() => !session.touching, 1_000, 'touch answered');
    }
    expect((await calls(server, 'pexpire')) - before).toBe(2);
  });

  test('a session touched through one replica only stays counted by the one that claimed it', async () => {
    let now = 0;
    const [a, b] = [await onRedis(server.port, () => now), await onRedis(server.port)];
    const sid = uniqueId('sid');
    await claimed(a, sid, 'chat-9');
    now = TTL_MS + 1;
    const asked = await calls(server, 'get');
    await eventually(async () => (await calls(server, 'get')) > asked, 8_000, 'the sweep asks');
    expect(a.load('chat-9')).toBe(1);
    b.release(await known(b, sid));
    await eventually(() => a.load('chat-9') === 0, 1_000, 'the release is told');
  });

  test('a burst over two replicas fills the emptier upstream and then stays even', async () => {
    const [a, b] = [await onRedis(server.port), await onRedis(server.port)];
    for (let i = 0; i < 100; i++) await claimed(a, uniqueId('sid'), 'burst-1');
    await eventually(() => b.load('burst-1') === 100, 4_000, 'the peer knows');
    await eventually(() => a.load('burst-1') === 100, 4_000, 'the peer’s zero is known');
    const upstreams = ['burst-1', 'burst-2'];
    const totals = await claims([a, b], upstreams, 200);
    expect(totals.get('burst-1')).toBeGreaterThanOrEqual(45);
    expect(totals.get('burst-1')).toBeLessThanOrEqual(55);
    const sums = [100 + (totals.get('burst-1') ?? 0), totals.get('burst-2')];
    for (const replica of [a, b]) {
      await eventually(
        () => upstreams.every((upstream, i) => replica.load(upstream) === sums[i]),
        4_000,
        'every replica knows the sums',
      );
    }
  });
});

describe('while Redis is away', () => {
  test('sessions claimed in the dark are served here, and by all once Redis is back', async () => {
    const first = await startRedis();
    const [a, b] = [await onRedis(first.port), await onRedis(first.port)];
    const old = uniqueId('sid');
    await claimed(a, old, 'chat-1');
    await first.close();
    await eventually(() => !a.available && !b.available, 1_000, 'both know');
    const dark = uniqueId('sid');
    const outcome = await a.claim(dark, 'chat-2', FRESH);
    expect(outcome).toMatchObject({ kind: 'claimed', published: false });
    expect(a.ownerOf(dark)).toMatchObject({ upstream: 'chat-2' });
    expect(await a.ownerOf(old)).toMatchObject({ upstream: 'chat-1' });
    await expect(b.ownerOf(dark)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(a.unavailableReason).toMatch(/\S/);

    const again = await startRedis([], first.port);
    cleanups.push(() => again.close());
    for (const [sid, upstream] of [
      [dark, 'chat-2'],
      [old, 'chat-1'],
    ] as const) {
      const found = async (): Promise<boolean> => (await b.ownerOf(sid))?.upstream === upstream;
      await eventually(found, 4_000, `${upstream}'s session is published`);
    }
    expect(a.available).toBe(true);
  });

  test('an expired session is kept: nobody else can say that it ended', async () => {
    let now = 0;
    const server = await startRedis();
    const directory = await onRedis(server.port, () => now);
    const sid = uniqueId('sid');
    await claimed(directory, sid, 'chat-1');
    await server.close();
    await eventually(() => !directory.available, 1_000, 'the loss is told');
    now = TTL_MS * 2;
    expect(await directory.ownerOf(sid)).toMatchObject({ upstream: 'chat-1' });
  });

  test('after a flush one touch brings back everything this replica knows', async () => {
    let now = 0;
    const server = await startRedis();
    cleanups.push(() => server.close());
    const [a, b] = [await onRedis(server.port, () => now), await onRedis(server.port)];
    const sids = Array.from({ length: 50 }, () => uniqueId('sid'));
    for (const sid of sids) await claimed(a, sid, 'chat-1');
    now = TTL_MS / 2;
    await command(server.port, ['FLUSHALL']);
    a.touch(await known(a, sids[0] ?? ''));
    await eventually(() => a.counters.restored === sids.length, 2_000, 'all are restored');
    const owners = await Promise.all(sids.map(async (sid) => b.ownerOf(sid)));
    expect(owners.every((owner) => owner?.upstream === 'chat-1')).toBe(true);
  });

  test('a newer session wins over what a failover brought back', async () => {
    const server = await startRedis();
    cleanups.push(() => server.close());
    const [a, b] = [await onRedis(server.port), await onRedis(server.port)];
    const sid = uniqueId('sid');
    await claimed(a, sid, 'chat-1');
    const key = `unsticky:s:${sid}`;
    const lost = String(await command(server.port, ['GET', key]));
    await a.claim(sid, 'chat-2', CARRIED);
    await command(server.port, ['SET', key, lost, 'PX', String(TTL_MS)]);
    const session = await known(a, sid);
    session.touchDueAt = -Infinity;
    a.touch(session);
    await eventually(() => a.counters.moved === 1 && !session.touching, 1_000, 'the loss is seen');
    a.touch(session);
    await eventually(
      async () => (await known(b, sid)).upstream === 'chat-2',
      2_000,
      'the newer session holds again',
    );
  });
});

describe('news from other replicas', () => {
  /** A store whose look-ups can be held back between reading and answering. */
  class HeldStore extends MemoryStore {
    events: StoreEvents | undefined;
    lookUps = 0;
    answered: Promise<unknown> = Promise.resolve();

    override open(events: StoreEvents): Promise<void> {
      this.events = events;
      return super.open(events);
    }

    override async ownerOf(sid: string): Promise<Binding | undefined> {
      this.lookUps += 1;
      const read = await super.ownerOf(sid);
      await this.answered;
      return read;
    }
  }

  async function onHeldStore(): Promise<{ store: HeldStore; directory: Directory }> {
    const store = new HeldStore({ maxBindings: 10 });
    const directory = await openDirectory(() => store);
    cleanups.push(() => directory.close());
    return { store, directory };
  }

  test('a look-up that a claim elsewhere overtakes is asked again', async () => {
    const { store, directory } = await onHeldStore();
    await store.claim(binding('a', 'chat-1'), { overwrite: false, announce: false });
    let answer: () => void = () => undefined;
    store.answered = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const asked = directory.ownerOf('a');
    await store.claim(binding('a', 'chat-2'), { overwrite: true, announce: true });
    store.events?.onForget('a');
    answer();
    expect(await asked).toMatchObject({ upstream: 'chat-2' });
    expect(store.lookUps).toBe(2);
  });

  test('a gap makes every session be asked for again, once', async () => {
    const { store, directory } = await onHeldStore();
    await claimed(directory, 'a', 'chat-1');
    const session = directory.ownerOf('a');
    store.events?.onGap();
    const asked = directory.ownerOf('a');
    expect(asked).toBeInstanceOf(Promise);
    expect(await asked).toBe(session);
    expect(directory.ownerOf('a')).toBe(session);
  });

  test('a session of before a gap that the store has lost lives on', async () => {
    const { store, directory } = await onHeldStore();
    await claimed(directory, 'a', 'chat-1');
    const session = await known(directory, 'a');
    await store.release(session);
    store.events?.onGap();
    expect(await directory.ownerOf('a')).toBe(session);
    directory.touch(session);
    await eventually(() => directory.counters.restored === 1, 1_000, 'the binding is restored');
    expect(await store.ownerOf('a')).toMatchObject({ upstream: 'chat-1' });
  });
});

async function claimed(directory: Directory, sid: string, upstream: string): Promise<void> {
  expect(await directory.claim(sid, upstream, FRESH)).toMatchObject({ kind: 'claimed' });
}

async function known(
  directory: Directory,
  sid: string,
): Promise<NonNullable<Awaited<ReturnType<Directory['ownerOf']>>>> {
  const session = await directory.ownerOf(sid);
  if (session === undefined) throw new Error('the session is unknown');
  return session;
}

/** Calls of a command since the server started. */
async function calls(server: RedisServer, name: string): Promise<number> {
  const stats = String(await command(server.port, ['INFO', 'commandstats']));
  return Number(new RegExp(`cmdstat_${name}:calls=(\\d+)`).exec(stats)?.[1] ?? 0);
}

/** Handshakes that come to the replicas in turn, each to the upstream of least load. */
async function claims(
  replicas: readonly Directory[],
  upstreams: readonly string[],
  count: number,
): Promise<ReadonlyMap<string, number>> {
  const totals = new Map(upstreams.map((upstream) => [upstream, 0]));
  await Promise.all(
    replicas.map(async (replica) => {
      for (let i = 0; i < count / replicas.length; i++) {
        const [least = ''] = [...upstreams].sort((a, b) => replica.load(a) - replica.load(b));
        await claimed(replica, uniqueId('sid'), least);
        totals.set(least, (totals.get(least) ?? 0) + 1);
      }
    }),
  );
  return totals;
}
