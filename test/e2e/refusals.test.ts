import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { startNamingUpstream } from '../helpers/naming-upstream.ts';
import type { NamingUpstream } from '../helpers/naming-upstream.ts';
import { startNode } from '../helpers/nodes.ts';
import { ask, openSession, poll, pollingTarget } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';
import { UPGRADE_REQUEST } from '../helpers/upgrade-router.ts';

const BODY_LIMIT = 1024;
const UNKNOWN = '{"code":1,"message":"Session ID unknown"}';
const ORIGIN = 'https://chat.example';

const forAll = new Closers();
const forOne = new Closers();
/** Every sid that a server gave or a client asked for. */
const sids: string[] = [];
let upstream: NamingUpstream;
let router: TestRouter;

beforeAll(async () => {
  const sidFor = (): string => remember(`known-sid-${String(sids.length)}`);
  upstream = forAll.add(await startNamingUpstream('chat', { sidFor }));
  router = forAll.add(
    await startTestRouter({
      upstreams: upstream.url,
      limits: { body: `${String(BODY_LIMIT)}b` },
      timeouts: { clientHeader: '500ms', clientRequest: '500ms' },
      // Checks open sessions too, whose sids must not be logged either.
      health: { interval: '200ms', timeout: '200ms' },
    }),
  );
});
afterEach(() => forOne.close());
afterAll(() => forAll.close());

function remember(sid: string): string {
  sids.push(sid);
  return sid;
}

function unknownSid(): string {
  return remember(`unknown-sid-${String(sids.length)}`);
}

function rawClient(): RawClient {
  return forOne.add(new RawClient(router.port));
}

/** Requests that reached the upstream and are no health checks of ours. */
function reached(): readonly string[] {
  const checks = /^unsticky/;
  return upstream.requests
    .filter(({ headers }) => !checks.test(headers['user-agent'] ?? ''))
    .map(({ url }) => url);
}

describe('an unknown sid gets the answer of Engine.IO itself', () => {
  test.each(['GET', 'POST'])('to a %s', async (method) => {
    const before = reached().length;
    const body = method === 'POST' ? '4hello' : '';
    const answer = await ask(pollingTarget(router.url, unknownSid()), { method, body });
    expect(answer.status).toBe(400);
    expect(answer.body.toString()).toBe(UNKNOWN);
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
    });
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    expect(answer.headers).not.toHaveProperty('retry-after');
    expect(reached().length).toBe(before);
  });

  test.each(['GET', 'POST'])(
    'to a %s, readable for a browser of another origin',
    async (method) => {
      const { status, headers } = await ask(pollingTarget(router.url, unknownSid()), {
        method,
        headers: { origin: ORIGIN },
      });
      expect(status).toBe(400);
      expect(headers).toMatchObject({
        'access-control-allow-origin': ORIGIN,
        'access-control-allow-credentials': 'true',
        vary: 'Origin',
      });
    },
  );

  test('to an upgrade, and closes its connection', async () => {
    const sid = unknownSid();
    const client = rawClient().send(
      UPGRADE_REQUEST.replace('transport=websocket', `transport=websocket&sid=${sid}`).replace(
        'Host:',
        `Origin: ${ORIGIN}\r\nHost:`,
      ),
    );
    const answer = await client.untilClosed();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain(`\r\nAccess-Control-Allow-Origin: ${ORIGIN}\r\n`);
    expect(answer).toContain('\r\nConnection: close\r\n');
    expect(answer.endsWith(`\r\n\r\n${UNKNOWN}`)).toBe(true);
  });
});

describe('a query that no client sends is refused and reaches no upstream', () => {
  test.each([
    ['two sids', 'EIO=4&transport=polling&sid=known-a&sid=known-b'],
    ['the same sid twice', 'EIO=4&transport=polling&sid=known-a&sid=known-a'],
    ['a sid of 129 characters', `EIO=4&transport=polling&sid=${'s'.repeat(129)}`],
    ['a sid with a percent sign', 'EIO=4&transport=polling&sid=known%2da'],
    ['a sid behind a semicolon', 'EIO=4&transport=polling;sid=known-a'],
    ['sid in disguise', 'EIO=4&transport=polling&s%69d=known-a'],
    ['two transports', 'EIO=4&transport=polling&transport=websocket'],
    ['an encoded transport', 'EIO=4&transport=poll%69ng'],
    ['websocket without an upgrade', 'EIO=4&transport=websocket'],
    ['an EIO nobody knows', 'EIO=x&transport=polling'],
  ])('%s', async (_name, query) => {
    const before = reached().length;
    const { status, body } = await ask(`${router.url}/socket.io/?${query}`);
    expect([status, body.toString()]).toEqual([400, '{"code":3,"message":"Bad request"}']);
    expect(reached().length).toBe(before);
  });

  test.each(['POST', 'PUT', 'DELETE', 'HEAD'])('a handshake by %s', async (method) => {
    const before = reached().length;
    const { status, body } = await ask(pollingTarget(router.url), { method });
    const text = method === 'HEAD' ? '' : '{"code":2,"message":"Bad handshake method"}';
    expect([status, body.toString()]).toEqual([400, text]);
    expect(reached().length).toBe(before);
  });
});

describe('a body where none belongs is refused and reaches no upstream', () => {
  test.each([
    ['Content-Length', 'Content-Length: 5\r\n\r\nhello'],
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n'],
  ])('on a GET with %s', async (_name, rest) => {
    const before = reached().length;
    const head = 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n';
    const client = rawClient().send(head + rest);
    const answer = await client.until(/BAD_FRAMING/);
    expect(answer).toMatch(/^HTTP\/1\.1 400 /);
    expect(reached().length).toBe(before);
  });
});

describe('a body over the limit gets 413', () => {
  const post = (sid: string): string =>
    `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: a\r\n`;
  const large = 'x'.repeat(BODY_LIMIT + 1);

  test('at the limit it still passes', async () => {
    const sid = await openSession(router.url);
    const body = 'x'.repeat(BODY_LIMIT);
    const answer = await ask(pollingTarget(router.url, sid), { method: 'POST', body });
    expect([answer.status, answer.body.toString()]).toEqual([200, 'ok']);
  });

  test('with Content-Length before a byte of it is sent on', async () => {
    const sid = await openSession(router.url);
    const before = reached().length;
    const client = rawClient().send(`${post(sid)}Content-Length: ${String(large.length)}\r\n\r\n`);
    await client.until(/BODY_TOO_LARGE/);
    expect(client.statuses).toEqual([413]);
    expect(reached().length).toBe(before);
    client.send(large).send(`GET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\n`);
    client.send('Host: a\r\n\r\n');
    await client.until(/\r\n4chat$/);
    expect(client.statuses).toEqual([413, 200]);
  });

  test('with chunks as soon as it is exceeded, and the connection can be used again', async () => {
    const sid = await openSession(router.url);
    const client = rawClient().send(`${post(sid)}Transfer-Encoding: chunked\r\n\r\n`);
    client.send(`${large.length.toString(16)}\r\n${large}\r\n`);
    await client.until(/BODY_TOO_LARGE/);
    expect(client.statuses).toEqual([413]);
    client.send(`0\r\n\r\nGET /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\n`);
    client.send('Host: a\r\n\r\n');
    await client.until(/\r\n4chat$/);
    expect(client.statuses).toEqual([413, 200]);
  });

  test('and a client that stops in the middle of it is closed', async () => {
    const firstChunk = `${large.length.toString(16)}\r\n${large}\r\n`;
    const clients: RawClient[] = [];
    for (const rest of [
      'Content-Length: 1000000000\r\n\r\n',
      `Transfer-Encoding: chunked\r\n\r\n${firstChunk}`,
    ]) {
      clients.push(rawClient().send(post(await openSession(router.url)) + rest));
    }
    const answers = await Promise.all(clients.map((client) => client.untilClosed()));
    for (const answer of answers) expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  });
});

test('a transport nobody knows is left to the server, whose refusal passes and binds nothing', async () => {
  const node = forOne.add(await startNode('node'));
  const front = forOne.add(await startTestRouter({ upstreams: node.url }));
  for (const transport of ['webtransport', 'constructor', 'flashsocket']) {
    const { status, body } = await ask(`${front.url}/socket.io/?EIO=4&transport=${transport}`);
    expect([status, body.toString()]).toEqual([400, '{"code":0,"message":"Transport unknown"}']);
  }
  expect(front.counter('handshakesRefused')).toBe(3);
  expect(front.counter('handshakes')).toBe(0);
});

describe('the log', () => {
  test('tells every refusal by its code, and an error of each kind is among them', () => {
    const outcomes = new Set(router.lines.map(({ outcome }) => outcome));
    for (const code of [
      'ok',
      'SID_UNKNOWN',
      'SID_MALFORMED',
      'BAD_HANDSHAKE_METHOD',
      'BAD_FRAMING',
      'BODY_TOO_LARGE',
    ]) {
      expect(outcomes).toContain(code);
    }
  });

  test('holds no sid and no query at any level', async () => {
    const sid = await openSession(router.url);
    expect(await poll(router.url, sid)).toBe('200 4chat');
    expect(await poll(router.url, unknownSid())).toBe(`400 ${UNKNOWN}`);
    expect(router.lines.length).toBeGreaterThan(30);
    const text = router.lines.map((line) => JSON.stringify(line)).join('\n');
    expect(text).toContain('"msg":"health check"');
    for (const secret of [...sids, 'known-a', 'known-b', 'transport=', 'EIO=']) {
      expect(text).not.toContain(secret);
    }
  });
});
