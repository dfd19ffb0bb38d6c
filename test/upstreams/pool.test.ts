import { describe, expect, test } from 'vitest';
import type { BalancePolicy, UpstreamConfig } from '../../src/config/config.ts';
import { UpstreamPool } from '../../src/upstreams/pool.ts';
import type { PoolChange } from '../../src/upstreams/pool.ts';
import type { Upstream } from '../../src/upstreams/upstream.ts';
import { recordingLog } from '../helpers/recording-log.ts';

const NONE: ReadonlySet<Upstream> = new Set();

function config(id: string, changes: Partial<UpstreamConfig> = {}): UpstreamConfig {
  return { id, url: `http://${id}:1`, host: id, port: 1, tls: false, weight: 1, ...changes };
}

interface Subject {
  readonly pool: UpstreamPool;
  readonly sessions: Map<string, number>;
  readonly advance: (ms: number) => void;
}

function createSubject(
  upstreams: readonly UpstreamConfig[],
  policy: BalancePolicy = 'least-sessions',
  random: () => number = Math.random,
): Subject {
  let now = 0;
  const sessions = new Map<string, number>();
  const pool = new UpstreamPool({
    upstreams,
    policy,
    load: (id) => sessions.get(id) ?? 0,
    log: recordingLog().log,
    now: () => now,
    random,
  });
  return {
    pool,
    sessions,
    advance: (ms) => {
      now += ms;
    },
  };
}

/** The named upstream, which must exist. */
function member(pool: UpstreamPool, id: string): Upstream {
  const upstream = pool.get(id);
  if (upstream === undefined) throw new Error(`no upstream ${id}`);
  return upstream;
}

function kill(upstream: Upstream): void {
  upstream.checkFailed('refused', false);
  upstream.checkFailed('refused', false);
}

describe('pick', () => {
  test('spreads 200 simultaneous handshakes evenly over two equal upstreams', () => {
    const { pool } = createSubject([config('a'), config('b')]);
    for (let i = 0; i < 200; i++) {
      const upstream = pool.pick(NONE);
      if (upstream !== undefined) upstream.handshakesInFlight++;
    }
    expect(pool.all.map(({ handshakesInFlight }) => handshakesInFlight)).toEqual([100, 100]);
  });

  test('spreads 200 sessions by weight', () => {
    const { pool, sessions } = createSubject([config('a', { weight: 3 }), config('b')]);
    for (let i = 0; i < 200; i++) {
      const id = pool.pick(NONE)?.id ?? '';
      sessions.set(id, (sessions.get(id) ?? 0) + 1);
    }
    expect(Object.fromEntries(sessions)).toEqual({ a: 150, b: 50 });
  });

  test('leaves out what was tried already', () => {
    const { pool } = createSubject([config('a'), config('b')]);
    expect(pool.pick(new Set([member(pool, 'a')]))?.id).toBe('b');
    expect(pool.pick(new Set(pool.all))).toBeUndefined();
  });

  test('prefers an upstream that can be reached to one that could not', () => {
    const { pool, sessions } = createSubject([config('a'), config('b')]);
    sessions.set('b', 1_000);
    member(pool, 'a').connectFailed('refused');
    expect(pool.pick(NONE)?.id).toBe('b');
  });

  test('tries the one whose pause ends first rather than refuse when all are ejected', () => {
    // Pauses of equal length: by chance, the later one could end first.
    const upstreams = [config('a'), config('b')];
    const { pool, advance } = createSubject(upstreams, 'least-sessions', () => 0);
    member(pool, 'b').connectFailed('refused');
    advance(300);
    member(pool, 'a').connectFailed('refused');
    expect(pool.pick(NONE)?.id).toBe('b');
    expect(pool.pick(new Set([member(pool, 'b')]))?.id).toBe('a');
  });

  test('refuses when all are dead or unhealthy', () => {
    const { pool } = createSubject([config('a'), config('b')]);
    kill(member(pool, 'a'));
    member(pool, 'b').checkFailed('status 500', true);
    member(pool, 'b').checkFailed('status 500', true);
    expect(pool.pick(NONE)).toBeUndefined();
  });

  test('chooses nobody from an empty pool', () => {
    expect(createSubject([]).pool.pick(NONE)).toBeUndefined();
  });
});

describe('apply', () => {
  test('keeps the state of an upstream whose weight changed', () => {
    const { pool } = createSubject([config('a'), config('b')]);
    const a = member(pool, 'a');
    const change = pool.apply([config('a', { weight: 9 }), config('b')], 'least-sessions');
    expect(pool.get('a')).toBe(a);
    expect(a.config.weight).toBe(9);
    expect(change).toEqual({ added: [], removed: [] });
  });

  test('replaces an upstream whose address changed', () => {
    const { pool } = createSubject([config('a')]);
    const old = member(pool, 'a');
    const change = pool.apply([config('a', { port: 2 })], 'least-sessions');
    expect(change).toEqual({ added: [pool.get('a')], removed: [old] });
    expect([old.removed, pool.get('a')?.removed]).toEqual([true, false]);
  });

  test('adds and removes, keeps the order of the configuration and tells listeners', () => {
    const { pool } = createSubject([config('a'), config('b')]);
    const heard: PoolChange[] = [];
    const stop = pool.onChange((change) => heard.push(change));
    pool.apply([config('c'), config('b')], 'round-robin');
    stop();
    pool.apply([], 'round-robin');
    expect(heard).toHaveLength(1);
    expect(heard[0]?.added.map(({ id }) => id)).toEqual(['c']);
    expect(heard[0]?.removed.map(({ id }) => id)).toEqual(['a']);
  });

  test('changes the policy', () => {
    const { pool, sessions } = createSubject([config('a'), config('b')]);
    sessions.set('a', 1_000);
    pool.apply([config('a'), config('b')], 'round-robin');
    const picks = Array.from({ length: 4 }, () => pool.pick(NONE)?.id);
    expect(picks).toEqual(['a', 'b', 'a', 'b']);
  });
});
