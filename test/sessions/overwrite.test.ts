import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { RedisStore } from '../../src/sessions/redis-store.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { openDirectory, singleConfig, uniqueId } from './fixtures.ts';

const ROUNDS = 300;
const AT_A_TIME = 50;
const TTL_MS = 60_000;

/** The same sid is opened again on another upstream, and its next request comes to another replica. */
describe.each([0, 5, 50])('with Redis slowed by %d ms each way', (delayMs) => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await startRedis();
  });
  afterAll(() => server.close());

  test(`once a claim resolves, no replica answers the old owner: ${String(ROUNDS)} rounds`, async () => {
    const proxy = await startDelayProxy(server.port, delayMs);
    const make = (replica: string): RedisStore =>
      new RedisStore({ config: singleConfig(proxy.port), replica });
    const [a, b] = [await openDirectory(make), await openDirectory(make)];
    let misrouted = 0;
    let unprepared = 0;
    const round = async (): Promise<void> => {
      const sid = uniqueId('sid');
      await a.claim(sid, 'chat-1', { ttlMs: TTL_MS, carried: false, holderLives: () => true });
      await b.ownerOf(sid);
      const cached = b.ownerOf(sid);
      if (cached instanceof Promise || cached?.upstream !== 'chat-1') unprepared += 1;
      await a.claim(sid, 'chat-2', { ttlMs: TTL_MS, carried: true, holderLives: () => true });
      const session = await b.ownerOf(sid);
      if (session?.upstream !== 'chat-2') misrouted += 1;
    };
    for (let done = 0; done < ROUNDS; done += AT_A_TIME) {
      await Promise.all(Array.from({ length: AT_A_TIME }, round));
    }
    await Promise.all([a.close(), b.close()]);
    await proxy.close();
    expect({ misrouted, unprepared }).toEqual({ misrouted: 0, unprepared: 0 });
  });
});
