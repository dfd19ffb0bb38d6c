import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const ROUNDS = 300;
const AT_A_TIME = 60;

const closers = new Closers();
let redis: RedisServer;
let upstreams: NamingUpstream[];

beforeAll(async () => {
  redis = closers.add(await startRedis());
  // The client names its sid, so that it can ask on before it has read a word of the answer.
  const sidFor = ({ headers }: { headers: NodeJS.Dict<string | string[]> }): string =>
    String(headers['x-sid']);
  upstreams = [
    closers.add(await startNamingUpstream('chat-1', { sidFor })),
    closers.add(await startNamingUpstream('chat-2', { sidFor })),
  ];
});
afterAll(() => closers.close());

// With a fast way for the look-up and a slow one for the binding, an answer that was released too early
// could not go unnoticed; with the same way for both, the two would arrive in their order.
describe.each([
  [0, 0],
  [5, 5],
  [50, 50],
  [5, 0],
  [50, 0],
])('with Redis %d ms away from one replica and %d ms from the other', (delayA, delayB) => {
  test(`the next request finds its session at another replica, ${String(ROUNDS)} times`, async () => {
    const local = new Closers();
    const replica = async (delayMs: number): Promise<TestRouter> => {
      const proxy = local.add(await startDelayProxy(redis.port, delayMs));
      const url = `redis://127.0.0.1:${String(proxy.port)}`;
      // A machine short of CPU must not look like a Redis that is away.
      const store = { redis: { url, commandTimeout: '5s' } };
      const keys = {
        store,
        upstreams: upstreams.map((upstream) => upstream.url),
        // A check by handshake would open sessions of its own.
        health: { check: 'tcp' },
      };
      return local.add(await startTestRouter(keys));
    };
    try {
      const [a, b] = [await replica(delayA), await replica(delayB)];
      let found = 0;
      for (let round = 0; round < ROUNDS; round += AT_A_TIME) {
        const results = await Promise.all(
          Array.from({ length: AT_A_TIME }, () => handshakeThenPoll(a, b)),
        );
        found += results.filter(Boolean).length;
      }
      expect(found).toBe(ROUNDS);
      expect(b.counter('sessionRequests')).toBe(ROUNDS);
      expect(a.counter('unpublishedBindings')).toBe(0);
      expect(upstreams.map(({ strays }) => strays())).toEqual([0, 0]);
      console.log(
        `Redis ${String(delayA)} and ${String(delayB)} ms away: ${String(found)}/${String(ROUNDS)} found at the other replica`,
      );
    } finally {
      await local.close();
    }
  });
});

/** True if the poll at `b`, sent when the first byte came from `a`, reached the session's owner. */
async function handshakeThenPoll(a: TestRouter, b: TestRouter): Promise<boolean> {
  const sid = randomUUID();
  const [first, second] = [new RawClient(a.port), new RawClient(b.port)];
  try {
    first.socket.once('data', () => {
      second.send(
        `GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: chat\r\n\r\n`,
      );
    });
    first.send(
      `GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: chat\r\nX-Sid: ${sid}\r\n\r\n`,
    );
    const answer = await second.until(/HTTP\/1\.1 200 [^]*4chat-\d|HTTP\/1\.1 [345]/);
    const owner = upstreams.find(({ open }) => open.has(sid))?.name;
    return owner !== undefined && answer.endsWith(`4${owner}`);
  } finally {
    first.close();
    second.close();
  }
}
