import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { loadConfig } from '../../src/config/load.ts';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { eventually } from '../helpers/eventually.ts';
import { freePort } from '../helpers/free-port.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream } from '../helpers/patient-upstream.ts';
import { ask, openSession, pollingTarget } from '../helpers/polling.ts';
import type { Answer } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import type { RawUpstream } from '../helpers/raw-upstream.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';
import { UPGRADE_REQUEST } from '../helpers/upgrade-router.ts';

const forOne = new Closers();
afterEach(() => forOne.close());

async function startUpstream(): Promise<PatientUpstream> {
  return forOne.add(await startPatientUpstream('chat'));
}

async function startFront(
  upstreams: string | readonly string[],
  keys: Readonly<Record<string, unknown>> = {},
): Promise<TestRouter> {
  return forOne.add(await startTestRouter({ upstreams, ...keys }));
}

function connect(url: string): WebSocket {
  const client = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  client.on('error', () => undefined);
  forOne.add({
    close: () => {
      client.terminate();
    },
  });
  return client;
}

async function openWebSocketSession(url: string): Promise<string> {
  const message = once(connect(url), 'message') as Promise<[Buffer]>;
  const [data] = await withDeadline(message, 5_000, 'an open packet');
  return (JSON.parse(data.toString().slice(1)) as { sid: string }).sid;
}

/** How a refusal reads to a client. */
function refusal({ status, headers, body }: Answer): unknown[] {
  const { code } = JSON.parse(body.toString()) as { code: unknown };
  return [status, code, headers['retry-after']];
}

function sessions(router: TestRouter): number {
  return (router.router.status() as { sessions: number }).sessions;
}

describe('a handshake', () => {
  test('gets 502 if no upstream can be reached, and 503 once they are known to be dead', async () => {
    const url = `http://127.0.0.1:${String(await freePort())}`;
    const router = await startFront(url, { health: { interval: '500ms', timeout: '50ms' } });
    expect(refusal(await ask(pollingTarget(router.url)))).toEqual([
      502,
      'UPSTREAM_CONNECT',
      undefined,
    ]);
    const isDead = (): boolean => router.lines.some(({ msg }) => msg === 'upstream is dead');
    await eventually(isDead, 5_000, 'the checks find the upstream dead');
    expect(refusal(await ask(pollingTarget(router.url)))).toEqual([503, 'NO_UPSTREAM', '1']);
    const refused = once(connect(router.url), 'unexpected-response');
    const [, response] = (await withDeadline(refused, 5_000, 'a refusal')) as [
      unknown,
      IncomingMessage,
    ];
    expect(response.statusCode).toBe(503);
    expect(response.headers).toMatchObject({ 'retry-after': '1' });
    expect(router.counter('handshakesFailed')).toBe(3);
  });

  test.each([
    ['polling', openSession],
    ['websocket', openWebSocketSession],
  ])('passes over an upstream that stays silent: %s', async (_transport, open) => {
    const silent = forOne.add(await startRawUpstream(() => undefined));
    const good = await startUpstream();
    const router = await startFront([`http://127.0.0.1:${String(silent.port)}`, good.url], {
      balance: 'round-robin',
      timeouts: { handshake: '100ms', upgrade: '100ms' },
    });
    for (const round of [0, 1]) expect(await open(router.url)).toBe(`chat-${String(round)}`);
    expect(router.counter('handshakesRetried')).toBe(1);
    expect(router.counter('handshakesFailed')).toBe(0);
  });
});

describe('a request of a session', () => {
  test('gets 502 if its owner refuses connections, and its binding stays', async () => {
    const upstream = await startPatientUpstream('chat');
    const router = await startFront(upstream.url);
    const sid = await openSession(router.url);
    await upstream.close();
    const answer = await ask(pollingTarget(router.url, sid));
    expect(refusal(answer)).toEqual([502, 'UPSTREAM_CONNECT', undefined]);
    expect(sessions(router)).toBe(1);
  });

  test('is never sent to another upstream than its owner', async () => {
    const owner = await startPatientUpstream('owner');
    const router = await startFront(owner.url);
    const sid = await openSession(router.url);
    const other = await startUpstream();
    const { port } = owner;
    await owner.close();
    const all = [`http://127.0.0.1:${String(port)}`, other.url];
    router.router.reconfigure(loadConfig({ text: JSON.stringify({ upstreams: all }) }));
    expect((await ask(pollingTarget(router.url, sid))).status).toBe(502);
    expect(other.targets).toEqual([]);
  });

  test('gets 504 if its owner stays silent, and its binding stays', async () => {
    const upstream = await startUpstream();
    const router = await startFront(upstream.url, { timeouts: { upstream: '100ms' } });
    const sid = await openSession(router.url);
    const answer = await ask(pollingTarget(router.url, sid), { method: 'POST', body: '4hello' });
    expect(refusal(answer)).toEqual([504, 'UPSTREAM_TIMEOUT', undefined]);
    expect(sessions(router)).toBe(1);
  });

  test('may be held beyond that limit if it is a poll', async () => {
    const upstream = await startUpstream();
    const router = await startFront(upstream.url, { timeouts: { upstream: '100ms' } });
    const sid = await openSession(router.url);
    const held = ask(pollingTarget(router.url, sid));
    const silent = ask(pollingTarget(router.url, sid), { method: 'POST', body: '4hello' });
    const first = await upstream.request();
    const second = await upstream.request();
    expect((await silent).status).toBe(504);
    const poll = first.req.method === 'GET' ? first : second;
    poll.res.end('4late');
    expect((await held).body.toString()).toBe('4late');
  });

  test('gets 502 if its owner closes the connection, and its binding stays', async () => {
    const upstream = await startUpstream();
    const router = await startFront(upstream.url);
    const sid = await openSession(router.url);
    const answer = ask(pollingTarget(router.url, sid));
    (await upstream.request()).res.destroy();
    expect(refusal(await answer)).toEqual([502, 'UPSTREAM_RESET', undefined]);
    expect(sessions(router)).toBe(1);
  });

  test.each(['before the answer', 'in the middle of the answer'])(
    'whose client leaves %s leaves its binding alone, and the next poll arrives',
    async (phase) => {
      const upstream = await startUpstream();
      const router = await startFront(upstream.url);
      const sid = await openSession(router.url);
      const client = forOne.add(new RawClient(router.port));
      client.send(`GET ${pollingTarget('', sid)} HTTP/1.1\r\nHost: a\r\n\r\n`);
      const held = await upstream.request();
      const gone = once(held.res, 'close');
      if (phase === 'in the middle of the answer') {
        held.res.writeHead(200, { 'Content-Length': 100 }).write('4hel');
        await client.until(/4hel$/);
      }
      client.close();
      await withDeadline(gone, 1_000, 'the upstream sees it');
      expect(sessions(router)).toBe(1);
      const next = ask(pollingTarget(router.url, sid));
      (await upstream.request()).res.end('4next');
      expect((await next).body.toString()).toBe('4next');
      expect(router.lines.filter(({ outcome }) => outcome === 'CLIENT_GONE')).toHaveLength(1);
    },
  );
});

/** A server that opens a session `raw-session` and answers everything else with these bytes. */
async function startAnswering(bytes: string): Promise<RawUpstream> {
  const open = '0{"sid":"raw-session","upgrades":[],"pingInterval":25000,"pingTimeout":20000}';
  return forOne.add(
    await startRawUpstream((socket) => {
      onRequestHead(socket, (head) => {
        const isHandshake = !head.includes('sid=') && !head.includes('user-agent: unsticky');
        socket.end(
          isHandshake
            ? `HTTP/1.1 200 OK\r\nContent-Length: ${String(open.length)}\r\n\r\n${open}`
            : bytes,
        );
      });
    }),
  );
}

function response(status: string, type: string, body: string): string {
  const length = String(body.length);
  return `HTTP/1.1 ${status}\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n${body}`;
}

const NODE = response(
  '400 Bad Request',
  'application/json',
  '{"code":1,"message":"Session ID unknown"}',
);

describe('an owner that does not know its session is passed on as it is, and the binding is gone', () => {
  test.each([
    ['Node', NODE],
    ['netty', 'HTTP/1.1 500 Internal Server Error\r\n\r\n'],
    ['Python', response('400 BAD REQUEST', 'text/plain', '"Invalid session raw-session"')],
    ['Go', response('400 Bad Request', 'text/plain', 'invalid sid value: raw-session\n')],
    [
      'Rust',
      response(
        '400 Bad Request',
        'application/json',
        '{"code":"1","message":"Session ID unknown"}',
      ),
    ],
    ['PHP', response('403 Forbidden', 'text/html', '{"code":1,"message":"Session ID unknown"}')],
  ])('%s', async (_server, bytes) => {
    const upstream = await startAnswering(bytes);
    const router = await startFront(`http://127.0.0.1:${String(upstream.port)}`);
    const sid = await openSession(router.url);
    const answer = await ask(pollingTarget(router.url, sid));
    const [head = '', body = ''] = bytes.split('\r\n\r\n');
    expect(answer.status).toBe(Number(head.slice(9, 12)));
    expect(answer.body.toString()).toBe(body);
    expect([sessions(router), router.counter('lostSessions')]).toEqual([0, 1]);
    expect((await ask(pollingTarget(router.url, sid))).status).toBe(400);
    expect(router.counter('unknownSids')).toBe(1);
  });

  test('also as the answer to an upgrade', async () => {
    const upstream = await startAnswering(NODE);
    const router = await startFront(`http://127.0.0.1:${String(upstream.port)}`);
    const sid = await openSession(router.url);
    const client = forOne.add(new RawClient(router.port));
    client.send(UPGRADE_REQUEST.replace('transport=websocket', `transport=websocket&sid=${sid}`));
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 400 .*Session ID unknown"}$/s);
    expect([sessions(router), router.counter('lostSessions')]).toEqual([0, 1]);
  });
});

describe('an error of the owner that says nothing of the session is passed on, and the binding stays', () => {
  test.each([
    [
      "Node's refusal of a request",
      response('400 Bad Request', 'application/json', '{"code":3,"message":"Bad request"}'),
    ],
    ["Node's empty 500", response('500 Internal Server Error', 'text/plain', '')],
    ['500 with a page', response('500 Internal Server Error', 'text/html', '<h1>Oops</h1>')],
    ['401', response('401 Unauthorized', 'text/plain', 'who are you?')],
    ['503', response('503 Service Unavailable', 'text/plain', 'Session ID unknown')],
  ])('%s', async (_what, bytes) => {
    const upstream = await startAnswering(bytes);
    const router = await startFront(`http://127.0.0.1:${String(upstream.port)}`);
    const sid = await openSession(router.url);
    for (let i = 0; i < 2; i += 1) {
      const answer = await ask(pollingTarget(router.url, sid));
      const [head = '', body = ''] = bytes.split('\r\n\r\n');
      expect(answer.status).toBe(Number(head.slice(9, 12)));
      expect(answer.body.toString()).toBe(body);
    }
    expect([sessions(router), router.counter('lostSessions')]).toEqual([1, 0]);
  });
});
