import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startNode } from '../helpers/nodes.ts';
import { ask } from '../helpers/polling.ts';
import { Queue } from '../helpers/queue.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';
import { SWITCHING } from '../helpers/upgrade-router.ts';

const HANDSHAKE = 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1';
const POLL = 'GET /socket.io/?EIO=4&transport=polling&sid=raw-session HTTP/1.1';
const UPGRADE = 'GET /socket.io/?EIO=4&transport=websocket&sid=raw-session HTTP/1.1';
const HOST = 'Host: Chat.Example:8099';
/** What the router adds to a client's request over plain HTTP. */
const ADDED = [
  'X-Forwarded-For: 127.0.0.1',
  'X-Forwarded-Proto: http',
  'X-Real-IP: 127.0.0.1',
  'X-Forwarded-Host: Chat.Example:8099',
];

const closers = new Closers();
/** Header blocks as the upstream got them. */
const heads = new Queue<string>();
/** What the upstream says to requests of a session. */
let answer: string;
let upstream: string;
let router: TestRouter;

beforeAll(async () => {
  const open = '0{"sid":"raw-session","upgrades":[],"pingInterval":25000,"pingTimeout":20000}';
  const raw = await startRawUpstream((socket) => {
    onRequestHead(socket, (head) => {
      heads.add(head);
      if (!head.includes('sid=')) socket.write(`${ok(open)}${open}`);
      else if (head.includes('transport=websocket')) socket.write(SWITCHING);
      else socket.write(answer, 'latin1');
    });
  });
  closers.add(raw);
  upstream = `http://127.0.0.1:${String(raw.port)}`;
  router = await startFront();
});
afterAll(() => closers.close());

function ok(body: string, ...fields: readonly string[]): string {
  const lines = ['HTTP/1.1 200 OK', ...fields, `Content-Length: ${String(body.length)}`];
  return `${lines.join('\r\n')}\r\n\r\n`;
}

/** A router, and a session of the upstream that it knows. */
async function startFront(keys: Readonly<Record<string, unknown>> = {}): Promise<TestRouter> {
  const health = { interval: '1h', check: 'tcp' };
  const front = closers.add(await startTestRouter({ upstreams: upstream, health, ...keys }));
  await exchange([HANDSHAKE, HOST], { front });
  return front;
}

/** Sends these lines as a request; resolves with the lines that the upstream got and the bytes that came back. */
async function exchange(
  lines: readonly string[],
  { front = router, says = ok('') }: { front?: TestRouter; says?: string } = {},
): Promise<{ readonly asked: readonly string[]; readonly answered: string }> {
  answer = says;
  const client = new RawClient(front.port);
  client.send(`${lines.join('\r\n')}\r\n\r\n`);
  const head = await withDeadline(heads.take(), 5_000, 'the request at the upstream');
  await client.until(/\r\n\r\n/);
  client.close();
  return { asked: head.split('\r\n'), answered: client.received };
}

describe('a request of a session', () => {
  test('arrives with its fields untouched and in order, and with four of ours', async () => {
    const fields = [
      'uSER-aGENT: Odd/1.0 (it; "works")',
      'Accept: */*',
      'Cookie: io=raw-session; theme=dark',
      'X-Twice: first',
      'Authorization: Bearer abc==',
      'x-twice: second',
      'X-Empty: ',
      'X-Latin: caf\xe9',
      'Accept-Encoding: gzip, br',
      'Origin: https://chat.example',
      'X-Forward: no forwarding field',
    ];
    const { asked } = await exchange([POLL, HOST, ...fields]);
    expect(asked).toEqual([POLL, HOST, ...fields, ...ADDED, 'Connection: keep-alive']);
  });

  test.each([
    '/socket.io/?EIO=4&transport=polling&t=%41b+c%2F&sid=raw-session&&x=;&y&=z&q=%',
    '/socket.io/?sid=raw-session',
    "/socket.io/anything/below?sid=raw-session&transport=polling&a[]=1&b='~!*()",
  ])('keeps its target byte for byte: %s', async (target) => {
    const { asked } = await exchange([`GET ${target} HTTP/1.1`, HOST]);
    expect(asked[0]).toBe(`GET ${target} HTTP/1.1`);
  });

  test('arrives without fields for this hop, and with those that no client may take away', async () => {
    const { asked } = await exchange([
      POLL,
      HOST,
      'Connection: keep-alive, X-Secret, Host, Cookie',
      'Keep-Alive: timeout=5',
      'X-Secret: 1',
      'TE: trailers',
      'Proxy-Authorization: Basic abc',
      'Proxy-Connection: keep-alive',
      'Cookie: a=b',
    ]);
    expect(asked).toEqual([POLL, HOST, 'Cookie: a=b', ...ADDED, 'Connection: keep-alive']);
  });

  test('tells nothing that its client has made up about itself', async () => {
    const { asked } = await exchange([
      POLL,
      HOST,
      'X-Forwarded-For: 203.0.113.9',
      'x-forwarded-proto: https',
      'X-Forwarded-Host: evil.example',
      'X-Forwarded-Port: 443',
      'X_Forwarded_For: 203.0.113.9',
      'X-Real-IP: 203.0.113.9',
      'X_Real_IP: 203.0.113.9',
      'Forwarded: for=203.0.113.9',
    ]);
    expect(asked).toEqual([POLL, HOST, ...ADDED, 'Connection: keep-alive']);
  });

  test('tells what a trusted proxy says, continued', async () => {
    const front = await startFront({ trustProxies: '127.0.0.0/8' });
    const lines = [
      'X-Forwarded-For: 198.51.100.1, 203.0.113.9',
      'X-Forwarded-Proto: https',
      'X-Forwarded-Host: chat.example',
      'X-Forwarded-Port: 443',
      'X-Real-IP: 198.51.100.1',
    ];
    const { asked } = await exchange([POLL, HOST, ...lines], { front });
    expect(asked).toEqual([
      POLL,
      HOST,
      'X-Forwarded-For: 198.51.100.1, 203.0.113.9, 127.0.0.1',
      'X-Forwarded-Proto: https',
      'X-Real-IP: 203.0.113.9',
      'X-Forwarded-Host: chat.example',
      'X-Forwarded-Port: 443',
      'Connection: keep-alive',
    ]);
  });

  test('that is an upgrade keeps its WebSocket fields', async () => {
    const fields = [
      'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
      'sec-websocket-version: 13',
      'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      'Cookie: a=b',
    ];
    const upgrade = ['Connection: keep-alive, Upgrade', 'UPGRADE: WebSocket'];
    const { asked, answered } = await exchange([UPGRADE, HOST, ...upgrade, ...fields]);
    const ours = ['Connection: Upgrade', 'Upgrade: websocket'];
    expect(asked).toEqual([UPGRADE, HOST, ...fields, ...ADDED, ...ours]);
    expect(answered).toBe(SWITCHING);
  });
});

describe('a handshake', () => {
  const fields = ['Cookie: theme=dark; io=raw-session', 'Accept-Encoding: gzip', 'X-Other: 1'];

  test('loses the io cookie, by which a server would reuse a session, and the codings', async () => {
    const { asked } = await exchange([HANDSHAKE, HOST, ...fields]);
    const kept = ['Cookie: theme=dark', 'X-Other: 1'];
    expect(asked).toEqual([HANDSHAKE, HOST, ...kept, ...ADDED, 'Connection: keep-alive']);
  });

  test('keeps the io cookie if the configuration says so', async () => {
    const front = await startFront({ ioCookie: 'pass' });
    const { asked } = await exchange([HANDSHAKE, HOST, ...fields], { front });
    expect(asked).toContain(fields[0]);
  });
});

describe('an answer', () => {
  test('arrives with its fields untouched and in order', async () => {
    const fields = [
      'Access-Control-Allow-Origin: https://chat.example',
      'access-control-allow-credentials: true',
      'Set-Cookie: io=raw-session; Path=/; HttpOnly; SameSite=Lax',
      'Set-Cookie: lb=1; Expires=Wed, 01 Jan 2031 00:00:00 GMT',
      'VARY: Origin',
      'Content-Type: text/plain; charset=UTF-8',
      'X-Latin: caf\xe9',
    ];
    const says = ok('', ...fields).replace('200 OK', '207 As You Like');
    const { answered } = await exchange([POLL, HOST], { says });
    const [statusLine, ...lines] = answered.split('\r\n');
    expect(statusLine).toBe('HTTP/1.1 207 As You Like');
    expect(lines.slice(0, fields.length + 1)).toEqual([...fields, 'Content-Length: 0']);
  });

  test('loses fields of the hop behind', async () => {
    const says = ok(
      '',
      'Connection: X-Inner',
      'X-Inner: 1',
      'Proxy-Authenticate: Basic',
      'X-Kept: 1',
    );
    const { answered } = await exchange([POLL, HOST], { says });
    expect(answered).toContain('X-Kept: 1');
    expect(answered).not.toMatch(/inner|proxy-auth/i);
  });
});

describe('where clients may come in', () => {
  test('several addresses lead to the same sessions', async () => {
    const front = await startFront({ listen: ['127.0.0.1:0', '127.0.0.1:0'] });
    expect(front.router.addresses).toHaveLength(2);
    for (const { port } of front.router.addresses) {
      const client = closers.add(new RawClient(port)).send(`${POLL}\r\n${HOST}\r\n\r\n`);
      expect(await withDeadline(heads.take(), 5_000, 'the request')).toContain(POLL);
      expect(await client.until(/\r\n\r\n/)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  test('several paths are each a server of their own behind', async () => {
    const front = await startFront({ path: ['/socket.io/', '/chat/v2/'] });
    for (const target of ['/chat/v2/?EIO=4&transport=polling', '/chat/v2?sid=raw-session']) {
      const { asked } = await exchange([`GET ${target} HTTP/1.1`, HOST], { front });
      expect(asked[0]).toBe(`GET ${target} HTTP/1.1`);
    }
    for (const path of ['/chat/', '/socket.iox/', '/chat/v2x']) {
      expect((await ask(`${front.url}${path}`)).status).toBe(404);
    }
  });

  test('the path without its slash opens and uses a session as well', async () => {
    const { asked, answered } = await exchange([
      HANDSHAKE.replace('/socket.io/', '/socket.io'),
      HOST,
    ]);
    expect(asked[0]).toBe('GET /socket.io?EIO=4&transport=polling HTTP/1.1');
    expect(answered).toContain('"sid":"raw-session"');
    await exchange([POLL.replace('/socket.io/', '/socket.io'), HOST]);
  });

  test('what needs no session, a preflight or the client itself, goes to any server', async () => {
    const node = closers.add(await startNode('node', { cors: { origin: 'https://chat.example' } }));
    const front = closers.add(await startTestRouter({ upstreams: node.url }));
    const preflight = await ask(`${front.url}/socket.io/?EIO=4&transport=polling`, {
      method: 'OPTIONS',
      headers: { origin: 'https://chat.example', 'access-control-request-method': 'POST' },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers).toMatchObject({
      'access-control-allow-origin': 'https://chat.example',
    });
    const script = await ask(`${front.url}/socket.io/socket.io.js`);
    expect(script.status).toBe(200);
    expect(script.body.toString()).toContain('Socket.IO');
  });
});
