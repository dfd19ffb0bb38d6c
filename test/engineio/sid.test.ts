import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  carriedSids,
  guessableSid,
  isSid,
  MAX_SID_LENGTH,
  withoutIoCookie,
} from '../../src/engineio/sid.ts';

const NETTY = '6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40';
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~';

describe('isSid', () => {
  test.each([
    ['Node and python 4', 'lv_VI97HAXpY6yYWAAAB'],
    ['netty', NETTY],
    ['python 3', '2f8c2b0a7d0e4e6f9a3b1c5d7e9f0a1b'],
    ['googollee', '1'],
    ['socketioxide', 'AAbbCCddEEff-_00'],
    ['the longest', 'a'.repeat(MAX_SID_LENGTH)],
  ])('takes the sid of %s', (_server, sid) => {
    expect(isSid(sid)).toBe(true);
  });

  test.each([
    '',
    'a'.repeat(MAX_SID_LENGTH + 1),
    'a%62',
    'a b',
    'a/b',
    'a;b',
    'ä',
    'a\0',
    'a,b',
    '+',
  ])('refuses %j', (text) => {
    expect(isSid(text)).toBe(false);
  });

  test('agrees with the pattern it stands for', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 140, unit: 'binary' }), (text) => {
        expect(isSid(text)).toBe(/^[A-Za-z0-9._~-]{1,128}$/.test(text));
      }),
    );
    for (let code = 0; code < 300; code++) {
      const character = String.fromCharCode(code);
      expect(isSid(character)).toBe(ALPHABET.includes(character));
    }
  });
});

test('a sid of fewer than 16 characters is guessable', () => {
  expect(guessableSid('10')).toBe(true);
  expect(guessableSid('a'.repeat(15))).toBe(true);
  expect(guessableSid('AAbbCCddEEff-_00')).toBe(false);
});

describe('carriedSids', () => {
  test.each<[string, string[], string[]]>([
    ['nothing', ['Host', 'a', 'Cookie', 'a=1; b=2'], []],
    ['a cookie', ['Cookie', `a=1; io=${NETTY}; b=2`], [NETTY]],
    ['a header in any case', ['IO', NETTY], [NETTY]],
    [
      'a header and two cookies',
      ['io', 'x', 'cookie', 'io=y', 'COOKIE', 'z=1;io=z'],
      ['x', 'y', 'z'],
    ],
    ['a quoted cookie', ['Cookie', 'io="abc"'], ['abc']],
    ['blanks and commas as netty skips them', ['Cookie', ' , io =abc,;x=1'], ['abc']],
    ['a cookie whose name only ends in io', ['Cookie', 'radio=abc; Io=abc; io2=abc'], []],
    ['no well-formed value', ['Cookie', 'io=; io=a b; io; io="', 'io', 'a b'], []],
    ['a name without a value', ['io'], []],
  ])('finds the sids in %s', (_what, rawHeaders, sids) => {
    expect(carriedSids(rawHeaders)).toEqual(sids);
  });
});

describe('withoutIoCookie', () => {
  test.each<[string, string[], string[]]>([
    ['in the middle', ['Cookie', `a=1; io=${NETTY}; b=2`], ['Cookie', 'a=1; b=2']],
    ['at the start', ['Cookie', `io=${NETTY}; b=2`], ['Cookie', 'b=2']],
    ['at the end', ['Cookie', `a=1; io=${NETTY}`], ['Cookie', 'a=1']],
    ['alone, with its header', ['Host', 'h', 'Cookie', 'io=x', 'A', 'b'], ['Host', 'h', 'A', 'b']],
    ['alone before a semicolon', ['Cookie', 'io=x; '], []],
    ['twice', ['Cookie', 'io=x; io=y; c="3"'], ['Cookie', 'c="3"']],
    ['as a header', ['Io', NETTY, 'X', '1'], ['X', '1']],
    ['nowhere: an empty header stays', ['X', '', 'Cookie', ''], ['X', '', 'Cookie', '']],
    [
      'nowhere: names that resemble it stay',
      ['Cookie', 'rio=1;iox=2; io'],
      ['Cookie', 'rio=1;iox=2; io'],
    ],
    ['nowhere: blanks stay', ['Cookie', ' a=1; '], ['Cookie', ' a=1; ']],
  ])('cuts out a sid %s', (_where, rawHeaders, kept) => {
    expect(withoutIoCookie(rawHeaders)).toEqual(kept);
  });

  test('leaves nothing to carry and every other cookie byte for byte', () => {
    const other = fc
      .string({ maxLength: 12 })
      .filter((text) => !text.includes(';') && carriedSids(['cookie', text]).length === 0)
      .map((text) => `k${text}`);
    const io = fc.constantFrom('io=abc', 'io="abc"', 'io =abc,', `io=${NETTY}`);
    fc.assert(
      fc.property(
        fc.array(fc.oneof(other, io), { minLength: 1, maxLength: 6 }),
        fc.array(fc.tuple(fc.constantFrom('Host', 'X-A', 'io'), fc.string()), { maxLength: 3 }),
        (pairs, headers) => {
          const raw = ['Cookie', pairs.join('; '), ...headers.flat()];
          const kept = withoutIoCookie(raw);
          expect(carriedSids(kept)).toEqual([]);
          const rest = pairs.filter((pair) => pair.startsWith('k')).join('; ');
          const cookie = rest === '' ? [] : ['Cookie', rest];
          expect(kept).toEqual([...cookie, ...headers.filter(([name]) => name !== 'io').flat()]);
        },
      ),
    );
  });

  test('never throws and is done after one pass', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string(), fc.constantFrom('cookie', 'io', 'io=a;'))),
        (raw) => {
          const kept = withoutIoCookie(raw);
          expect(withoutIoCookie(kept)).toEqual(kept);
          expect(carriedSids(kept)).toEqual([]);
        },
      ),
    );
  });
});
