import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  hasBody,
  headerCount,
  headerValue,
  listContains,
  requestLines as linesWithHost,
  responseHeaders,
  type RequestRewrite,
} from '../src/headers.ts';

const PLAIN: RequestRewrite = { forwarding: [], connection: 'keep-alive' };

/** Field names as clients write them: any case, ordinary ones and ones a proxy must not pass. */
const name = fc.oneof(
  fc.stringMatching(/^[A-Za-z][A-Za-z0-9_-]{0,20}$/),
  fc.constantFrom(
    'Connection',
    'keep-alive',
    'TE',
    'Trailer',
    'UPGRADE',
    'Transfer-Encoding',
    'Content-Length',
    'X-Forwarded-For',
    'x_forwarded_host',
    'Set-Cookie',
    'Cookie',
    'Host',
  ),
);
const value = fc.oneof(
  fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,12}$/),
  fc.constantFrom('close', 'keep-alive, X-A', 'chunked', 'Host, Cookie', 'upgrade'),
);
const flatHeaders = fc.array(fc.tuple(name, value), { maxLength: 12 }).map((pairs) => pairs.flat());

/** The lines for a request that also has a `Host`, without that. */
function requestLines(raw: readonly string[], rewrite: RequestRewrite): string {
  const lines = linesWithHost(['Host', 'a', ...raw], rewrite);
  expect(lines.startsWith('Host: a\r\n')).toBe(true);
  return lines.slice('Host: a\r\n'.length);
}

function pairsOf(lines: string): string[][] {
  return lines
    .split('\r\n')
    .slice(0, -1)
    .map((line) => [line.slice(0, line.indexOf(': ')), line.slice(line.indexOf(': ') + 2)]);
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let from = 0;
  return part.every((item) => {
    from = whole.indexOf(item, from) + 1;
    return from > 0;
  });
}

describe('requestLines', () => {
  test('keeps order, case, repetition and latin1 bytes of ordinary headers', () => {
    const raw = [
      'hOST',
      'chat.example:8099',
      'X-B',
      'é\xff',
      'X-A',
      '1',
      'x-b',
      '2',
      'Cookie',
      'io=1',
    ];
    expect(requestLines(raw, PLAIN)).toBe(
      'hOST: chat.example:8099\r\nX-B: é\xff\r\nX-A: 1\r\nx-b: 2\r\nCookie: io=1\r\n' +
        'Connection: keep-alive\r\n',
    );
  });

  test('says that there is no Host where the client gave none', () => {
    expect(linesWithHost([], PLAIN)).toBe('Host: \r\nConnection: keep-alive\r\n');
  });

  test('removes hop-by-hop headers in any case', () => {
    const raw = [
      'CONNECTION',
      'close',
      'Keep-Alive',
      'timeout=5',
      'te',
      'trailers',
      'Trailer',
      'Q',
    ];
    raw.push('Upgrade', 'h2c', 'Expect', '100-continue', 'Proxy-Connection', 'keep-alive');
    raw.push('proxy-authorization', 'Basic eA==', 'Proxy-Authenticate', 'x');
    expect(requestLines(raw, PLAIN)).toBe('Connection: keep-alive\r\n');
  });

  test('removes what Connection lists, over several lines, but never what routing or framing needs', () => {
    const raw = [
      'Host',
      'a',
      'Connection',
      'X-Secret, host,cookie',
      'connection',
      'Authorization, x-b',
    ];
    raw.push('X-Secret', '1', 'X-B', '2', 'Cookie', 'c', 'Authorization', 'z', 'X-C', '3');
    expect(requestLines(raw, PLAIN)).toBe(
      'Host: a\r\nCookie: c\r\nAuthorization: z\r\nX-C: 3\r\nConnection: keep-alive\r\n',
    );
  });

  test('writes chunked framing plainly and then no Content-Length', () => {
    const raw = ['Transfer-encoding', '\tChunked', 'Content-Length', '5', 'X-Long-Header-17', 'a'];
    expect(requestLines(raw, PLAIN)).toBe(
      'X-Long-Header-17: a\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n',
    );
  });

  test('drops a Transfer-Encoding that is anything else', () => {
    const raw = ['Transfer-Encoding', 'gzip', 'Transfer-Encoding', 'chunked'];
    expect(requestLines(raw, PLAIN)).toBe('Connection: keep-alive\r\n');
  });

  test("replaces the client's forwarding headers and their look-alikes", () => {
    const raw = [
      'X-Forwarded-For',
      '6.6.6.6',
      'x_forwarded-proto',
      'https',
      'X-Real-IP',
      '6.6.6.6',
    ];
    raw.push(
      'Forwarded',
      'for=6.6.6.6',
      'X-Forwarded-Prefix',
      '/a',
      'X-REAL_IP',
      'b',
      'X-Request-Id',
      'r',
    );
    raw.push('From-Where', 'here');
    expect(requestLines(raw, { ...PLAIN, forwarding: [['X-Forwarded-For', '10.0.0.1']] })).toBe(
      'X-Request-Id: r\r\nFrom-Where: here\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: keep-alive\r\n',
    );
  });

  test('drops the names it is told to drop', () => {
    const raw = ['Accept', '*/*', 'Accept-Encoding', 'gzip', 'accept-encoding', 'br'];
    const lines = requestLines(raw, { ...PLAIN, drop: new Set(['accept-encoding']) });
    expect(lines).toBe('Accept: */*\r\nConnection: keep-alive\r\n');
  });

  test('says close, or writes the upgrade anew', () => {
    const raw = ['Upgrade', 'WebSocket, h2c', 'Connection', 'keep-alive, Upgrade'];
    expect(requestLines(raw, { ...PLAIN, connection: 'close' })).toBe('Connection: close\r\n');
    expect(requestLines(raw, { ...PLAIN, connection: 'upgrade' })).toBe(
      'Connection: Upgrade\r\nUpgrade: websocket\r\n',
    );
  });

  test('whatever comes in, one Connection goes out, and nothing is invented or reordered', () => {
    fc.assert(
      fc.property(flatHeaders, (raw) => {
        const out = pairsOf(requestLines(raw, PLAIN));
        expect(out.pop()).toEqual(['Connection', 'keep-alive']);
        const framing = out.filter(([key]) => key === 'Transfer-Encoding');
        expect(framing.length).toBeLessThanOrEqual(1);
        const rest = out.filter(([key]) => key !== 'Transfer-Encoding');
        if (framing.length === 1) {
          expect(headerCount(rest.flat(), 'content-length')).toBe(0);
        }
        const lines = rest.map((pair) => pair.join('\n'));
        const before = pairsOfFlat(raw).map((pair) => pair.join('\n'));
        expect(isSubsequence(lines, before)).toBe(true);
        for (const [key = ''] of rest) {
          expect(key).not.toMatch(/^(te|trailer|upgrade|x[-_]forwarded.*)$/i);
        }
      }),
    );
  });
});

function pairsOfFlat(raw: readonly string[]): (string | undefined)[][] {
  return raw.flatMap((item, i) => (i % 2 === 0 ? [[item, raw[i + 1]]] : []));
}

describe('responseHeaders', () => {
  test('removes hop-by-hop headers and keeps every cookie and CORS header in order', () => {
    const raw = [
      'Set-Cookie',
      'io=1',
      'Connection',
      'keep-alive, X-Hop',
      'Keep-Alive',
      'timeout=5',
    ];
    raw.push('X-Hop', '1', 'Set-Cookie', 'b=2', 'Trailer', 'q', 'Proxy-Authenticate', 'x');
    raw.push('access-control-allow-origin', '*', 'Content-Length', '5');
    expect(responseHeaders(raw)).toEqual([
      ...['Set-Cookie', 'io=1', 'Set-Cookie', 'b=2', 'access-control-allow-origin', '*'],
      ...['Content-Length', '5'],
    ]);
  });

  test('drops Content-Length beside Transfer-Encoding, and names it is told to drop', () => {
    const raw = [
      'Transfer-Encoding',
      'chunked',
      'Content-Length',
      '5',
      'Content-Encoding',
      'gzip',
      'A',
      'b',
    ];
    expect(responseHeaders(raw, { drop: new Set(['content-encoding']) })).toEqual(['A', 'b']);
  });

  test('ordinary headers pass untouched', () => {
    const ordinary = fc.array(
      fc.tuple(fc.stringMatching(/^[A-Z][a-z]{3,5}-[A-Z][a-z]{1,3}$/), value),
      { maxLength: 10 },
    );
    fc.assert(
      fc.property(ordinary, (pairs) => {
        const raw = pairs.filter(([key]) => !key.startsWith('Proxy-')).flat();
        expect(responseHeaders(raw)).toEqual(raw);
      }),
    );
  });
});

describe('reading raw headers', () => {
  test('repeated fields are joined, absent ones undefined', () => {
    const raw = ['Accept', 'a', 'B', '1', 'ACCEPT', 'c'];
    expect(headerValue(raw, 'accept')).toBe('a, c');
    expect(headerValue(raw, 'b')).toBe('1');
    expect(headerValue(raw, 'c')).toBeUndefined();
    expect(headerCount(raw, 'accept')).toBe(2);
    expect(headerCount(raw, 'c')).toBe(0);
  });

  test('a list contains a token in any case, with any spacing, and no part of a token', () => {
    expect(listContains('keep-alive, \tUpGrade', 'upgrade')).toBe(true);
    expect(listContains('upgrade-insecure', 'upgrade')).toBe(false);
    expect(listContains('', 'upgrade')).toBe(false);
  });
});

test.each([
  [[], false],
  [['Content-Length', '0'], false],
  [['content-length', '1'], true],
  [['Content-Length', '00'], true],
  [['Transfer-Encoding', 'chunked'], true],
  [['TRANSFER-ENCODING', 'gzip', 'Content-Length', '0'], true],
])('a request with %j has a body: %s', (rawHeaders, expected) => {
  expect(hasBody(rawHeaders)).toBe(expected);
});
