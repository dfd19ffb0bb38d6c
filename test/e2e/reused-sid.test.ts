import { randomUUID } from 'node:crypto';
import type http from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startDelayProxy } from '../helpers/delay-proxy.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { ask, openSession, poll, pollingTarget } from '../helpers/polling.ts';
import type { Question } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { startRedis } from '../helpers/redis.ts';
import type { RedisServer } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const ROUNDS = 200;
const AT_A_TIME = 20;

/** Takes the answer to one request of a sid out of its upstream's hands. */
type Takeover = (response: http.ServerResponse) => void;

/** A check by handshake would be one more request that the upstreams see. */
const health = { check: 'tcp' };

const forAll = new Closers();
const forOne = new Closers();
const takeovers = new Map<string, Takeover>();
let redis: RedisServer;
let upstreams: NamingUpstream[];

beforeAll(async () => {
  redis = forAll.add(await startRedis());
  upstreams = [await startUpstream('chat-1'), await startUpstream('chat-2')];
});
afterEach(() => forOne.close());
afterAll(() => forAll.close());

async function startUpstream(name: string): Promise<NamingUpstream> {
  const answer = (sid: string, response: http.ServerResponse): boolean => {
    takeovers.get(sid)?.(response);
    return takeovers.delete(sid);
  };
  return forAll.add(await startNamingUpstream(name, { sidFor, answer }));
}

/** As netty-socketio 1.7.17: the sid of an `io` header, else of an `io` cookie, else a new one. */
function sidFor({ headers }: http.IncomingMessage): string {
  const cookie = /(?:^|; *)io=([^;]+)/.exec(headers.cookie ?? '');
  return String(headers['io'] ?? cookie?.[1] ?? randomUUID());
}

async function startReplica(delayMs = 0): Promise<TestRouter> {
  const proxy = forOne.add(await startDelayProxy(redis.port, delayMs));
  const router = await startTestRouter({
    // A machine short of CPU must not look like a Redis that is away.
    store: { redis: { url: `redis://127.0.0.1:${String(proxy.port)}`, commandTimeout: '5s' } },
    upstreams: upstreams.map(({ name, url }) => ({ id: name, url })),
    balance: 'random',
    ioCookie: 'pass',
    health,
  });
  return forOne.add(router);
}

interface Move {
  readonly sid: string;
  readonly before: string;
  readonly after: string;
}

/** A session that both replicas have in their memory. */
async function knownSession(a: TestRouter, b: TestRouter): Promise<Move> {
  const sid = await openSession(a.url);
  const [before, after] = [...upstreams].sort(({ open }) => (open.has(sid) ? -1 : 1));
  const move = { sid, before: before?.name ?? '', after: after?.name ?? '' };
  for (const { url } of [a, b]) expect(await poll(url, sid)).toBe(`200 4${move.before}`);
  return move;
}

/** Handshakes with the same sid until it has been opened on the other upstream. */
async function moveAt(replica: TestRouter, { sid, after }: Move, way: Way): Promise<void> {
  const target = upstreams.find(({ name }) => name === after);
  for (let attempt = 0; target?.open.has(sid) !== true; attempt += 1) {
    if (attempt === 100) throw new Error('the sid never came to the other upstream');
    expect(await openSession(replica.url, way(sid))).toBe(sid);
  }
}

type Way = (sid: string) => http.OutgoingHttpHeaders;
const asCookie: Way = (sid) => ({ cookie: `theme=dark; io=${sid}; lang=en` });
const asHeader: Way = (sid) => ({ io: sid });

describe('a sid that is opened again on another upstream', () => {
  test.each([
    [0, 0],
    [0, 20],
    [20, 0],
  ])(
    `is routed there by the other replica (Redis %d ms from one, %d ms from the other)`,
    async (delayA, delayB) => {
      const [a, b] = [await startReplica(delayA), await startReplica(delayB)];
      let misrouted = 0;
      const round = async (_: unknown, index: number): Promise<void> => {
        const move = await knownSession(a, b);
        await moveAt(a, move, index % 2 === 0 ? asCookie : asHeader);
        if ((await poll(b.url, move.sid)) !== `200 4${move.after}`) misrouted += 1;
      };
      for (let done = 0; done < ROUNDS; done += AT_A_TIME) {
        await Promise.all(Array.from({ length: AT_A_TIME }, round));
      }
      console.log(
        `same sid opened again, Redis ${String(delayA)} and ${String(delayB)} ms away: ` +
          `${String(misrouted)} of ${String(ROUNDS)} misrouted`,
      );
      expect(misrouted).toBe(0);
      expect(a.counter('collisions')).toBe(0);
      expect(b.counter('sessionRequests')).toBe(2 * ROUNDS);
    },
  );

  test.each<[string, Question, string, number]>([
    ['500 of a server that does not know it', {}, 'HTTP/1.1 500 Internal Server Error\r\n\r\n', 1],
    [
      'answer to its close packet',
      { method: 'POST', body: '1' },
      'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok',
      0,
    ],
  ])('outlives the former upstream’s late %s', async (_name, question, lateAnswer, lost) => {
    const [a, b] = [await startReplica(), await startReplica()];
    const move = await knownSession(a, b);
    const arrived = new Promise<http.ServerResponse>((resolve) => {
      takeovers.set(move.sid, resolve);
    });
    const late = ask(pollingTarget(b.url, move.sid), question);
    const response = await withDeadline(arrived, 5_000, 'the former upstream is asked');
    await moveAt(a, move, asCookie);
    response.socket?.end(lateAnswer);
    await late;
    expect(b.counter('lostSessions')).toBe(lost);
    // What the replica has told Redis is done before this look-up is answered.
    expect(await poll(b.url, randomUUID())).toContain('Session ID unknown');
    const fresh = await startReplica();
    for (const { url } of [a, b, fresh]) {
      expect(await poll(url, move.sid)).toBe(`200 4${move.after}`);
    }
  });
});

describe('by default', () => {
  const cookie = 'theme=dark; io=6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40; lang=en';
  const io = '6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40';

  test('no sid to reuse reaches an upstream with a handshake, other cookies do', async () => {
    const upstream = await startUpstream('chat-3');
    const router = forOne.add(await startTestRouter({ upstreams: [upstream.url], health }));
    const [first, second] = [
      await openSession(router.url, { cookie, io }),
      await openSession(router.url, { cookie: `io=${io}` }),
    ];
    expect(new Set([first, second, io]).size).toBe(3);
    const [withOthers, alone] = upstream.requests.map(({ headers }) => headers);
    expect(withOthers).toMatchObject({ cookie: 'theme=dark; lang=en' });
    expect(withOthers).not.toHaveProperty('io');
    expect(alone).not.toHaveProperty('cookie');
  });

  test('nor with a handshake over WebSocket', async () => {
    const heads: string[] = [];
    const raw = await startRawUpstream((socket) => {
      onRequestHead(socket, (head) => {
        heads.push(head);
        socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n');
      });
    });
    forOne.add(raw);
    const upstream = `http://127.0.0.1:${String(raw.port)}`;
    const router = forOne.add(await startTestRouter({ upstreams: [upstream], health }));
    const client = new RawClient(router.port);
    client.send(
      'GET /socket.io/?EIO=3&transport=websocket HTTP/1.1\r\nHost: chat\r\n' +
        'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n' +
        `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: ${cookie}\r\nio: ${io}\r\n\r\n`,
    );
    expect(await client.untilClosed()).toContain('403');
    expect(heads).toHaveLength(1);
    expect(heads[0]).toContain('\r\nCookie: theme=dark; lang=en');
    expect(heads[0]).not.toContain(io);
  });

  test('requests of a session keep their cookies and headers untouched', async () => {
    const upstream = await startUpstream('chat-4');
    const router = forOne.add(await startTestRouter({ upstreams: [upstream.url], health }));
    const sid = await openSession(router.url);
    expect(await poll(router.url, sid, { cookie, io })).toBe('200 4chat-4');
    await ask(pollingTarget(router.url, sid), {
      method: 'POST',
      body: '4x',
      headers: { cookie, io },
    });
    const [, ...ofSession] = upstream.requests.map(({ headers }) => headers);
    expect(ofSession).toHaveLength(2);
    for (const headers of ofSession) expect(headers).toMatchObject({ cookie, io });
  });
});
