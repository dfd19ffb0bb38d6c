import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../src/errors.ts';
import { inspectRequest, inspectUpgrade, type RequestLimits } from '../src/guard.ts';
import { RawClient } from './helpers/raw-client.ts';

const ENGINE: RequestLimits = { headerLines: 20, bodyBytes: 1000, bodies: 'post-only' };
const APP: RequestLimits = { ...ENGINE, bodies: 'any-but-get' };

type RequestHead = Parameters<typeof inspectRequest>[0];

/** Node's parser, so that what is inspected is what really arrives; answers each request's verdict. */
const server = createServer({ requireHostHeader: false });
let limits = ENGINE;
const answer = (code: ErrorCode | undefined): string => {
  const text = code ?? 'passes';
  return `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n${text}`;
};
server.maxHeadersCount = 0;
server.on('request', (req) => req.socket.end(answer(inspectRequest(req, limits))));
server.on('upgrade', (req, socket) => socket.end(answer(inspectUpgrade(req, limits))));

beforeAll(async () => new Promise<void>((done) => server.listen(0, '127.0.0.1', done)));
afterAll(async () => new Promise((done) => server.close(done)));

async function verdict(request: string, under = ENGINE): Promise<string | undefined> {
  limits = under;
  const client = new RawClient((server.address() as AddressInfo).port).send(request);
  const text = await client.untilClosed();
  return /\r\n\r\n(.*)$/s.exec(text)?.[1];
}

const get = (target: string, ...lines: string[]): string =>
  [`GET ${target} HTTP/1.1`, 'Host: a', ...lines, '', ''].join('\r\n');
const post = (...lines: string[]): string =>
  ['POST /socket.io/ HTTP/1.1', 'Host: a', ...lines, '', ''].join('\r\n');

describe('the target', () => {
  test.each([
    '/',
    '/socket.io/?EIO=4&transport=polling&sid=a..b',
    '/socket.io/?redirect=/../x%zz&b=%00',
    '/a//b',
    '/a/...',
    '/a/.well-known/..x',
    '/%C3%A9%20~',
    '/a:b@c;d=1,[e]{f}|g^"<>',
  ])('%s passes', async (target) => {
    expect(await verdict(get(target))).toBe('passes');
  });

  test.each([
    'http://a/',
    'a',
    '*',
    '//evil/',
    '/a\\b',
    '/a#b',
    '/a/../b',
    '/a/..',
    '/./a',
    '/a/%2e%2E/b',
    '/a/.%2e',
    '/..%2fb',
    '/a%5c..%5cb',
    '/a/..;x/b',
    '/a%00b',
    '/a%zz',
    '/a%4',
    '/caf\xe9',
  ])('%s is refused', async (target) => {
    const said = await verdict(get(target));
    // Some of these Node's own parser does not even let through.
    expect(['BAD_TARGET', '', undefined]).toContain(said);
  });

  test('no prefix can be left by dot segments, however they are written', () => {
    const dot = fc.constantFrom('.', '%2e', '%2E');
    const slash = fc.constantFrom('/', '%2f', '%2F', '%5c');
    const word = fc.constantFrom('', 'a', 'b.c', '%41');
    fc.assert(
      fc.property(word, slash, dot, dot, slash, word, (before, open, one, two, close, after) => {
        const url = `/${before}${open}${one}${two}${close}${after}`;
        expect(inspectRequest(request({ url }), ENGINE)).toBe('BAD_TARGET');
      }),
    );
  });
});

function request(parts: Partial<RequestHead>): RequestHead {
  return { httpVersion: '1.1', method: 'GET', url: '/', rawHeaders: ['Host', 'a'], ...parts };
}

describe('method, version and number of header lines', () => {
  test('HTTP 1.0 and 1.1 pass, others do not', async () => {
    expect(await verdict('GET / HTTP/1.0\r\nHost: a\r\n\r\n')).toBe('passes');
    expect(await verdict('GET /\r\n\r\n')).not.toBe('passes');
    expect(inspectRequest(request({ httpVersion: '2.0' }), ENGINE)).toBe('HTTP_VERSION');
    expect(inspectRequest(request({ httpVersion: '0.9' }), ENGINE)).toBe('HTTP_VERSION');
  });

  test('TRACE and CONNECT are refused', async () => {
    expect(await verdict('TRACE / HTTP/1.1\r\nHost: a\r\n\r\n')).toBe('METHOD_NOT_ALLOWED');
    expect(inspectRequest(request({ method: 'CONNECT' }), ENGINE)).toBe('METHOD_NOT_ALLOWED');
  });

  test('as many header lines as allowed pass, one more is refused', async () => {
    const lines = Array.from({ length: 19 }, (_, i) => `X-${String(i)}: 1`);
    expect(await verdict(get('/', ...lines))).toBe('passes');
    expect(await verdict(get('/', ...lines, 'X-20: 1'))).toBe('HEADERS_TOO_LARGE');
  });

  test('a Transfer-Encoding behind a thousand other lines is not hidden from us', async () => {
    const lines = Array.from({ length: 1200 }, () => 'a: b');
    const smuggled = get('/', ...lines, 'Transfer-Encoding: chunked');
    expect(await verdict(smuggled)).toBe('HEADERS_TOO_LARGE');
    expect(await verdict(smuggled, { ...ENGINE, headerLines: 5000 })).toBe('BAD_FRAMING');
  });
});

describe('Host', () => {
  const withHosts = (...hosts: string[]): string =>
    ['GET / HTTP/1.1', ...hosts.map((host) => `Host: ${host}`), '', ''].join('\r\n');

  test.each([
    'chat.example',
    'chat.example:8099',
    '127.0.0.1:80',
    '[::1]:8099',
    'my_service',
    'a:',
  ])('%s passes', async (host) => {
    expect(await verdict(withHosts(host))).toBe('passes');
  });

  test.each([
    '',
    'a b',
    'a/b',
    'x/../y',
    'a@b',
    'a,b',
    'a..b',
    'a:b',
    '[::1',
    'a:123456',
    'caf\xe9',
  ])('"%s" is refused', async (host) => {
    expect(await verdict(withHosts(host))).toBe('BAD_HOST');
  });

  test('two are refused, even if equal, and none too', async () => {
    expect(await verdict(withHosts('a', 'a'))).toBe('BAD_HOST');
    expect(await verdict(withHosts())).toBe('BAD_HOST');
  });

  test('HTTP/1.0 may come without', async () => {
    expect(await verdict('GET / HTTP/1.0\r\n\r\n')).toBe('passes');
  });
});

describe('framing', () => {
  test('a POST passes with Content-Length, with chunks, and with neither', async () => {
    expect(await verdict(post('Content-Length: 0'))).toBe('passes');
    expect(await verdict(`${post('Content-Length: 5')}hello`)).toBe('passes');
    expect(await verdict(`${post('Transfer-Encoding: Chunked')}0\r\n\r\n`)).toBe('passes');
    expect(await verdict(post())).toBe('passes');
  });

  test('a Content-Length above the limit is refused by its number alone', async () => {
    expect(await verdict(post('Content-Length: 1000'))).toBe('passes');
    expect(await verdict(post('Content-Length: 1001'))).toBe('BODY_TOO_LARGE');
  });

  test.each([
    ['Transfer-Encoding: identity, chunked'],
    ['Transfer-Encoding: gzip, chunked'],
    ['Transfer-Encoding: chunked, chunked'],
    ['Transfer-Encoding: chunked', 'Transfer-Encoding: chunked'],
    ['Transfer-Encoding: "chunked"'],
    ['Transfer-Encoding: xchunked'],
    ['Transfer-Encoding:'],
    ['Transfer-Encoding: chunked', 'Content-Length: 5'],
    ['Content-Length: 5', 'Transfer-Encoding: chunked'],
    ['Content-Length: 5', 'Content-Length: 5'],
    ['Content-Length: 5, 5'],
    ['Content-Length: +5'],
    ['Content-Length: 0x5'],
    ['Content-Length: -1'],
    ['Content-Length:'],
  ])('%s %s is refused', async (...lines) => {
    const said = await verdict(`${post(...lines)}0\r\n\r\n`);
    expect(['BAD_FRAMING', '', undefined]).toContain(said);
  });

  test('what the parser might let through one day is refused by us too', () => {
    for (const value of ['', '5, 5', '+5', '0x5', '-1', '5 ', '1e3']) {
      const rawHeaders = ['Host', 'a', 'Content-Length', value];
      expect(inspectRequest(request({ method: 'POST', rawHeaders }), ENGINE)).toBe('BAD_FRAMING');
    }
    const both = ['Host', 'a', 'Content-Length', '5', 'Transfer-Encoding', 'chunked'];
    expect(inspectRequest(request({ method: 'POST', rawHeaders: both }), ENGINE)).toBe(
      'BAD_FRAMING',
    );
  });

  test('chunks are refused on HTTP/1.0', async () => {
    const old = 'POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n';
    expect(['BAD_FRAMING', '', undefined]).toContain(await verdict(old));
  });

  test('only POST carries a body to Engine.IO, to a web application all but GET, HEAD and OPTIONS', async () => {
    const withBody = (method: string): string =>
      `${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx`;
    const passing = async (under: RequestLimits): Promise<string[]> => {
      const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];
      const verdicts: unknown[] = [];
      for (const method of methods) verdicts.push(await verdict(withBody(method), under));
      return methods.filter((_, i) => verdicts[i] === 'passes');
    };
    expect(await passing(ENGINE)).toEqual(['POST']);
    expect(await passing(APP)).toEqual(['POST', 'PUT', 'PATCH', 'DELETE']);
    expect(await verdict(get('/', 'Content-Length: 0'))).toBe('passes');
  });
});

describe('upgrades', () => {
  const HANDSHAKE = {
    Host: 'a',
    Connection: 'keep-alive, Upgrade',
    Upgrade: 'WebSocket',
    'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version': '13',
  };
  const upgrade = (changes: Record<string, string> = {}, start = 'GET / HTTP/1.1'): string => {
    const lines = Object.entries({ ...HANDSHAKE, ...changes });
    return [start, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n');
  };

  test('a WebSocket handshake passes, tokens in any case', async () => {
    expect(await verdict(upgrade())).toBe('passes');
    expect(await verdict(upgrade({ 'Content-Length': '0' }))).toBe('passes');
  });

  test.each([
    [{ Upgrade: 'h2c' }],
    [{ 'Sec-WebSocket-Key': '' }],
    [{ 'Sec-WebSocket-Key': 'dGhlIHNhbXBsZQ==' }],
    [{ 'Sec-WebSocket-Version': '12' }],
    [{ 'Sec-WebSocket-Version': '' }],
  ])('%o is refused', async (changes) => {
    expect(await verdict(upgrade(changes))).toBe('BAD_UPGRADE');
  });

  test('any method but GET and any version but 1.1 is refused', async () => {
    expect(await verdict(upgrade({}, 'POST / HTTP/1.1'))).toBe('BAD_UPGRADE');
    expect(await verdict(upgrade({}, 'GET / HTTP/1.0'))).toBe('BAD_UPGRADE');
  });

  test('a body is refused, since the upstream might take it for the next request', async () => {
    expect(await verdict(`${upgrade({ 'Content-Length': '5' })}hello`)).toBe('BAD_FRAMING');
    expect(await verdict(upgrade({ 'Transfer-Encoding': 'chunked' }))).toBe('BAD_FRAMING');
  });

  test('what is refused on any request is refused on an upgrade', async () => {
    expect(await verdict(upgrade({}, 'GET /a/../b HTTP/1.1'))).toBe('BAD_TARGET');
    expect(await verdict(upgrade({ Host: 'a/b' }))).toBe('BAD_HOST');
  });

  test('a handshake whose Connection does not ask for it is no upgrade', () => {
    const rawHeaders = Object.entries({ ...HANDSHAKE, Connection: 'keep-alive' }).flat();
    expect(inspectUpgrade(request({ rawHeaders }), ENGINE)).toBe('BAD_UPGRADE');
    expect(inspectUpgrade(request({}), ENGINE)).toBe('BAD_UPGRADE');
  });
});
