import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { UnstickyError } from '../../src/errors.ts';
import type { ResponseHead } from '../../src/forward/response-head.ts';
import { ResponseParser } from '../../src/forward/response-parser.ts';

interface Heard {
  heads: ResponseHead[];
  body: string;
  ended: boolean;
  upgrade: string | undefined;
}

function read(pieces: readonly Buffer[], method = 'GET', fin = false, upgrades = false): Heard {
  const heard: Heard = { heads: [], body: '', ended: false, upgrade: undefined };
  const handler = {
    onHead: (head: ResponseHead) => heard.heads.push(head),
    onBody: (chunk: Buffer) => (heard.body += chunk.toString('latin1')),
    onEnd: () => (heard.ended = true),
    ...(upgrades && {
      onUpgrade: (_head: ResponseHead, rest: Buffer) => (heard.upgrade = rest.toString('latin1')),
    }),
  };
  const parser = new ResponseParser(handler);
  parser.begin(method);
  for (const piece of pieces) parser.push(piece);
  if (fin) parser.end();
  return heard;
}

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
  } catch (error) {
    if (error instanceof UnstickyError) return error.code;
    throw error;
  }
  return undefined;
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const OK = 'HTTP/1.1 200 OK\r\n';

describe('answers that are well-formed', () => {
  const cases: [name: string, wire: string, body: string, method?: string, fin?: boolean][] = [
    ['a length', `${OK}Content-Length: 5\r\n\r\nhello`, 'hello'],
    ['length zero', `${OK}Content-Length: 0\r\n\r\n`, ''],
    [
      'chunks',
      `${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=1\r\n0123456789\r\n0\r\n\r\n`,
      'abc0123456789',
    ],
    [
      'chunks with trailers, which are dropped',
      `${OK}transfer-encoding: Chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nZ: w\r\n\r\n`,
      'a',
    ],
    ['the end of the connection', `${OK}\r\nuntil the end`, 'until the end', 'GET', true],
    ['nothing after HEAD', `${OK}Content-Length: 5\r\n\r\n`, '', 'HEAD'],
    ['nothing after HEAD with chunked', `${OK}Transfer-Encoding: chunked\r\n\r\n`, '', 'HEAD'],
    ['nothing with 204', 'HTTP/1.1 204 No Content\r\n\r\n', ''],
    ['nothing with 304', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n', ''],
    [
      'interim answers before the real one',
      `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}Content-Length: 2\r\n\r\nok`,
      'ok',
    ],
    ['an empty reason', 'HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx', 'x'],
    ['no reason at all', 'HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx', 'x'],
  ];
  test.each(cases)('the body ends with %s', (_name, wire, body, method, fin) => {
    const whole = read([bytes(wire)], method, fin);
    expect(whole).toMatchObject({ body, ended: true });
    const byByte = [...bytes(wire)].map((byte) => Buffer.from([byte]));
    expect(read(byByte, method, fin)).toEqual(whole);
  });

  test('any split of an answer into reads gives the same answer', () => {
    const wire = bytes(
      `${OK}A: b\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: u\r\n\r\n`,
    );
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: wire.length - 1 })), (cuts) => {
        const at = [0, ...new Set(cuts.sort((a, b) => a - b)), wire.length];
        const pieces = at.slice(1).map((end, i) => wire.subarray(at[i], end));
        expect(read(pieces)).toMatchObject({ body: 'hello', ended: true });
      }),
    );
  });

  test('header lines keep their order, case, repetition and bytes', () => {
    const { heads } = read([
      bytes(
        `${`${OK}Set-Cookie: a=1\r\nX-\xC9:1\r\n`.replace(
          '\xC9',
          'e',
        )}set-cookie:\t b=\xe9\xa0 \r\nContent-Length: 0\r\n\r\n`,
      ),
    ]);
    expect(heads[0]?.rawHeaders).toEqual([
      'Set-Cookie',
      'a=1',
      'X-e',
      '1',
      'set-cookie',
      'b=\xe9\xa0',
      'Content-Length',
      '0',
    ]);
  });

  test('whether the connection may be used again is told by version, header and framing', () => {
    const keepAlive = (wire: string, fin = false): boolean | undefined =>
      read([bytes(wire)], 'GET', fin).heads[0]?.keepAlive;
    expect(keepAlive(`${OK}Content-Length: 0\r\n\r\n`)).toBe(true);
    expect(keepAlive(`${OK}Connection: X, Close\r\nContent-Length: 0\r\n\r\n`)).toBe(false);
    expect(keepAlive('HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n')).toBe(false);
    expect(keepAlive(`${OK}\r\n`, true)).toBe(false);
    expect(
      read([bytes(`${OK}Keep-Alive: timeout=5, max=9\r\nContent-Length: 0\r\n\r\n`)]).heads[0]
        ?.keepAliveHintMs,
    ).toBe(5000);
  });

  test('a 101 hands over what followed it', () => {
    const heard = read(
      [bytes('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi')],
      'GET',
      false,
      true,
    );
    expect(heard.upgrade).toBe('\x81\x02hi');
  });
});

describe('answers that are refused', () => {
  const cases: [name: string, wire: string][] = [
    ['a status below 100', 'HTTP/1.1 099 Odd\r\n\r\n'],
    ['a status above 599', 'HTTP/1.1 600 Odd\r\n\r\n'],
    ['a control byte in the reason', 'HTTP/1.1 200 O\x01K\r\n\r\n'],
    ['HTTP/2.0 in the status line', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['no HTTP at all', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['a bare line feed', 'HTTP/1.1 200 OK\nA: b\r\n\r\n'],
    ['a folded header line', `${OK}A: b\r\n c\r\n\r\n`],
    ['a header line without colon', `${OK}Ab\r\n\r\n`],
    ['a space before the colon', `${OK}A : b\r\n\r\n`],
    ['an empty header name', `${OK}: b\r\n\r\n`],
    ['a NUL in a value', `${OK}A: b\0c\r\n\r\n`],
    ['a bare CR in a value', `${OK}A: b\rc\r\n\r\n`],
    ['two lengths', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`],
    ['a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\nx`],
    ['a negative length', `${OK}Content-Length: -1\r\n\r\n`],
    ['a length and chunks', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
    [
      'two transfer encodings',
      `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`,
    ],
    ['gzip as transfer encoding', `${OK}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ['chunks from HTTP/1.0', 'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'],
    ['an unsolicited 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['bytes after the end', `${OK}Content-Length: 1\r\n\r\nxHTTP/1.1 200 OK\r\n\r\n`],
    ['a chunk size that is no number', `${OK}Transfer-Encoding: chunked\r\n\r\n0x5\r\n`],
    ['a chunk longer than its size', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n`],
    ['a bare line feed after a chunk size', `${OK}Transfer-Encoding: chunked\r\n\r\n1\na\r\n`],
    ['a chunk size beyond reason', `${OK}Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n`],
    ['an endless header block', `${OK}A: ${'b'.repeat(70_000)}`],
    ['an endless chunk-size line', `${OK}Transfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(5000)}`],
    [
      'endless trailers',
      `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${`T: ${'x'.repeat(1000)}\r\n`.repeat(20)}`,
    ],
    ['endless interim answers', 'HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)],
  ];
  test.each(cases)('%s', (_name, wire) => {
    expect(codeOf(() => read([bytes(wire)]))).toBe('UPSTREAM_BAD_ANSWER');
  });

  test('the end of the connection before a byte is a reset, later a cut', () => {
    expect(codeOf(() => read([], 'GET', true))).toBe('UPSTREAM_RESET');
    expect(codeOf(() => read([bytes('HTTP')], 'GET', true))).toBe('UPSTREAM_CUT');
    expect(codeOf(() => read([bytes(`${OK}Content-Length: 5\r\n\r\nhel`)], 'GET', true))).toBe(
      'UPSTREAM_CUT',
    );
    expect(
      codeOf(() =>
        read([bytes(`${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n`)], 'GET', true),
      ),
    ).toBe('UPSTREAM_CUT');
  });

  test('arbitrary bytes give an answer, wait for more, or are refused, and nothing else', () => {
    const piece = fc.oneof(
      fc.constantFrom(
        OK,
        '\r\n',
        'Content-Length: 3\r\n',
        'Transfer-Encoding: chunked\r\n',
        '3\r\nabc\r\n',
        '0\r\n\r\n',
        '\n',
        ':',
      ),
      fc.string({ unit: 'binary', maxLength: 8 }),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 12 }), fc.boolean(), (pieces, fin) => {
        const code = codeOf(() => read(pieces.map(bytes), 'GET', fin));
        expect([undefined, 'UPSTREAM_BAD_ANSWER', 'UPSTREAM_RESET', 'UPSTREAM_CUT']).toContain(
          code,
        );
      }),
      { numRuns: 2000 },
    );
  });
});
