import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeBody } from '../../src/engineio/content-coding.ts';

const CODINGS: [string, string | undefined, (body: Buffer) => Buffer][] = [
  ['none', undefined, (body) => body],
  ['an empty header', '', (body) => body],
  ['identity', 'identity', (body) => body],
  ['gzip', 'gzip', (body) => gzipSync(body)],
  ['gzip in capitals', ' GZIP ', (body) => gzipSync(body)],
  ['x-gzip', 'x-gzip', (body) => gzipSync(body)],
  ['deflate', 'deflate', (body) => deflateSync(body)],
  ['deflate without the zlib wrapper', 'deflate', (body) => deflateRawSync(body)],
  ['br', 'br', (body) => brotliCompressSync(body)],
];

describe.each(CODINGS)('with coding %s', (_name, coding, encode) => {
  test('every body comes back', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), (bytes) => {
        const body = Buffer.from(bytes);
        expect(decodeBody(encode(body), coding, 300)).toEqual(body);
      }),
    );
  });

  test('a body is taken up to the limit and not a byte beyond it', () => {
    const body = Buffer.alloc(1000, 'a');
    expect(decodeBody(encode(body), coding, 1000)).toEqual(body);
    expect(decodeBody(encode(body), coding, 999)).toBeUndefined();
  });

  test('no bytes at all make it throw', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const decoded = decodeBody(Buffer.from(bytes), coding, 100);
        expect(decoded === undefined || decoded.length <= 100).toBe(true);
      }),
    );
  });
});

test('a bomb is refused', () => {
  const bomb = gzipSync(Buffer.alloc(32 * 1024 * 1024));
  expect(decodeBody(bomb, 'gzip', 64 * 1024)).toBeUndefined();
});

test.each(['gzip', 'deflate', 'br'])('a body in %s that is cut short is refused', (coding) => {
  const body = Buffer.from('0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":["websocket"]}');
  const encode = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync }[coding];
  const encoded = encode?.(body) ?? body;
  expect(decodeBody(encoded.subarray(0, -4), coding, 1000)).toBeUndefined();
});

test.each(['zstd', 'compress', 'gzip, br', 'gzip, identity', 'constructor'])(
  'coding %s is not known',
  (coding) => {
    expect(decodeBody(Buffer.from('0{}'), coding, 1000)).toBeUndefined();
  },
);
