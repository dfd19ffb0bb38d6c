import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { ask, pollingTarget } from '../helpers/polling.ts';
import type { Answer } from '../helpers/polling.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const HANDSHAKES = 200;

const closers = new Closers();
let redis: RedisServer;
beforeAll(async () => {
  redis = await startRedis();
});
afterEach(() => closers.close());
afterAll(() => redis.close());

interface Fleet {
  readonly upstreams: readonly [NamingUpstream, NamingUpstream];
  readonly replicas: readonly TestRouter[];
  readonly url: string;
}

async function startFleet(options: {
  readonly weights?: readonly [number, number];
  readonly balance?: string;
  readonly mayOpen?: () => Promise<void>;
}): Promise<Fleet> {
  const { weights = [1, 1], balance = 'least-sessions', mayOpen } = options;
  const sidFor = (): string => randomUUID();
  const start = async (name: string): Promise<NamingUpstream> =>
    closers.add(
      await startNamingUpstream(name, mayOpen === undefined ? { sidFor } : { sidFor, mayOpen }),
    );
  const upstreams = [await start('chat-1'), await start('chat-2')] as const;
  const keys = {
    store: { redis: { url: redis.url, keyPrefix: `${randomUUID()}:` } },
    balance,
    upstreams: upstreams.map(({ url }, index) => ({ url, weight: weights[index] })),
    health: { check: 'tcp' },
  };
  const replicas = [
    closers.add(await startTestRouter(keys)),
    closers.add(await startTestRouter(keys)),
  ];
  const { url } = closers.add(await startRoundRobin(replicas.map(({ port }) => port)));
  return { upstreams, replicas, url };
}

/** Lets everyone wait for everyone else: resolves for all when the last of them has come. */
function rendezvous(count: number): () => Promise<void> {
  let missing = count;
  let meet = (): void => undefined;
  const met = new Promise<void>((resolve) => (meet = resolve));
  return async () => {
    missing -= 1;
    if (missing === 0) meet();
    await met;
  };
}

async function burst(url: string): Promise<readonly Answer[]> {
  return Promise.all(Array.from({ length: HANDSHAKES }, () => ask(pollingTarget(url))));
}

function statuses(answers: readonly Answer[]): readonly number[] {
  return [...new Set(answers.map(({ status }) => status))];
}

function sessions({ upstreams }: Fleet, what: string): readonly [number, number] {
  const [first, second] = upstreams;
  const counts = [first.opened(), second.opened()] as const;
  console.log(`${what}: ${counts.join(' : ')} of ${String(HANDSHAKES)}`);
  return counts;
}

describe(`${String(HANDSHAKES)} handshakes at once, two replicas`, () => {
  test.each<[string, [number, number], string, number, number]>([
    ['evenly', [1, 1], 'least-sessions', 100, 10],
    ['by weight 1 to 3', [1, 3], 'least-sessions', 50, 15],
    ['evenly', [1, 1], 'round-robin', 100, 2],
    ['by weight 1 to 3', [1, 3], 'round-robin', 50, 2],
    // Five standard deviations of a fair coin thrown 200 times: one run in 1.7 million fails.
    ['about evenly', [1, 1], 'random', 100, 35],
  ])('are spread %s (weights %j, %s)', async (_how, weights, balance, expected, tolerance) => {
    // No upstream answers before all have been asked: at once is at once.
    const fleet = await startFleet({ weights, balance, mayOpen: rendezvous(HANDSHAKES) });
    expect(statuses(await burst(fleet.url))).toEqual([200]);
    const [first, second] = sessions(fleet, `burst, ${balance}, weights ${weights.join(':')}`);
    expect(first + second).toBe(HANDSHAKES);
    expect(Math.abs(first - expected)).toBeLessThanOrEqual(tolerance);
  });

  test('a second burst is spread evenly too, without waiting for the first to be told around', async () => {
    const fleet = await startFleet({});
    await burst(fleet.url);
    const [before] = sessions(fleet, 'first burst');
    await burst(fleet.url);
    const [after, other] = fleet.upstreams.map((upstream) => upstream.opened());
    console.log(`second burst: ${String(after)} : ${String(other)} in all`);
    expect(Math.abs((after ?? 0) - before - HANDSHAKES / 2)).toBeLessThanOrEqual(10);
  });
});

describe('an upstream that is killed', () => {
  test.each(['least-sessions', 'round-robin', 'random'])(
    'costs no handshake (%s)',
    async (balance) => {
      const fleet = await startFleet({ balance });
      await burst(fleet.url);
      const [first, second] = fleet.upstreams;
      const before = second.opened();
      await first.close();
      expect(statuses(await burst(fleet.url))).toEqual([200]);
      expect(second.opened() - before).toBe(HANDSHAKES);
      const sum = (name: string): number =>
        fleet.replicas.reduce((total, { counter }) => total + counter(name), 0);
      expect(sum('handshakesFailed')).toBe(0);
      console.log(
        `one of two killed, ${balance}: ${String(HANDSHAKES)} of ${String(HANDSHAKES)} handshakes answered, ` +
          `${String(sum('handshakesRetried'))} of them after a retry`,
      );
      expect(sum('handshakesRetried')).toBeGreaterThan(0);
    },
  );

  test('costs no handshake that it had already been sent', async () => {
    const fleet = await startFleet({ balance: 'round-robin' });
    const [first, second] = fleet.upstreams;
    // It takes requests and answers none, until it dies with all of them.
    const half = HANDSHAKES / 2;
    const taken = first.swallow(half);
    const answers = burst(fleet.url);
    await taken;
    await first.close();
    expect(statuses(await answers)).toEqual([200]);
    expect(second.opened()).toBe(HANDSHAKES);
  });
});
