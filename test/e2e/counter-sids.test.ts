import { afterEach, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { eventually } from '../helpers/eventually.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { openSession, poll } from '../helpers/polling.ts';
import { startRedis } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const CLIENTS = 40;

const closers = new Closers();
afterEach(() => closers.close());

/** Hands out 1, 2, 3, … as googollee/go-socket.io does, whose counter is in base 36. */
async function startCounting(name: string): Promise<NamingUpstream> {
  let last = 0;
  const sidFor = (): string => (last += 1).toString(36);
  return closers.add(await startNamingUpstream(name, { sidFor }));
}

async function allAtOnce(url: string): Promise<string[]> {
  return Promise.all(Array.from({ length: CLIENTS }, () => openSession(url)));
}

async function oneAfterAnother(url: string): Promise<string[]> {
  const sids: string[] = [];
  while (sids.length < CLIENTS) sids.push(await openSession(url));
  return sids;
}

describe.each([
  ['one replica', 1],
  ['two replicas', 2],
])('two upstreams that count their sids behind %s', (topology, replicaCount) => {
  test.each([
    ['at once', allAtOnce],
    ['one after another', oneAfterAnother],
  ])(`give ${String(CLIENTS)} clients %s sids of their own`, async (how, open) => {
    const upstreams = [await startCounting('count-1'), await startCounting('count-2')];
    const redis = replicaCount === 1 ? undefined : closers.add(await startRedis());
    const keys = {
      upstreams: upstreams.map(({ url }) => url),
      // A check by handshake would take part in the counting.
      health: { check: 'tcp' },
      ...(redis === undefined ? {} : { store: redis.url }),
    };
    const replicas: TestRouter[] = [];
    while (replicas.length < replicaCount) replicas.push(closers.add(await startTestRouter(keys)));
    const { url } = closers.add(await startRoundRobin(replicas.map(({ port }) => port)));

    const sids = await open(url);

    expect(new Set(sids).size).toBe(CLIENTS);
    const total = (name: string): number =>
      replicas.reduce((sum, { counter }) => sum + counter(name), 0);
    expect(total('collisions')).toBeGreaterThan(0);
    expect(total('handshakesFailed')).toBe(0);

    const living = (): number => upstreams.reduce((sum, upstream) => sum + upstream.open.size, 0);
    await eventually(() => living() === CLIENTS, 5_000, 'sessions without a client are closed');
    for (const sid of sids) {
      const [owner, ...others] = upstreams.filter((upstream) => upstream.open.has(sid));
      expect(others).toEqual([]);
      expect(await poll(url, sid)).toBe(`200 4${String(owner?.name)}`);
    }
    expect(upstreams.map(({ strays }) => strays())).toEqual([0, 0]);
    const opened = upstreams.map((upstream) => upstream.opened());
    expect(opened.reduce((a, b) => a + b)).toBe(CLIENTS + total('collisions'));
    console.log(
      `counted sids, ${topology}, ${how}: ${String(new Set(sids).size)}/${String(CLIENTS)} clients, ` +
        `${String(total('collisions'))} collisions, living ${upstreams.map((upstream) => upstream.open.size).join(' + ')}`,
    );
  });
});
