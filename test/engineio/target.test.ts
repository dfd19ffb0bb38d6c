import { parse } from 'node:querystring';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isSid } from '../../src/engineio/sid.ts';
import { readTarget } from '../../src/engineio/target.ts';
import type { EngineQuery } from '../../src/engineio/types.ts';

const PATHS = ['/socket.io/'];
const SID = 'lv_VI97HAXpY6yYWAAAB';
const NOTHING: EngineQuery = {
  transport: undefined,
  eio: undefined,
  sid: undefined,
  jsonp: undefined,
  base64: false,
};

function kindOf(query: string): string {
  return readTarget(`/socket.io/?${query}`, PATHS).kind;
}

describe('the path', () => {
  test.each<[string, string | undefined]>([
    ['/socket.io/', '/socket.io/'],
    ['/socket.io', '/socket.io/'],
    ['/socket.io?EIO=4', '/socket.io/'],
    ['/socket.io/x/?EIO=4', '/socket.io/'],
    ['/socket.io/socket.io.js', '/socket.io/'],
    ['/chat/a/', '/chat/a/'],
    ['/chat/a', '/chat/a/'],
    ['/chat/b', '/chat/'],
    ['/chat', '/chat/'],
    ['/', undefined],
    ['', undefined],
    ['?sid=a', undefined],
    ['*', undefined],
    ['/socket.iox', undefined],
    ['/Socket.io/', undefined],
    ['/x/socket.io/', undefined],
    ['/x?/socket.io/', undefined],
    ['/socket.ix', undefined],
  ])('of %j belongs to %j', (target, path) => {
    for (const paths of [
      ['/socket.io/', '/chat/', '/chat/a/'],
      ['/chat/a/', '/chat/', '/socket.io/'],
    ]) {
      const reading = readTarget(target, paths);
      expect(reading.kind === 'engine' ? reading.path : undefined).toBe(path);
    }
  });

  test('may be the root, which every absolute path belongs to', () => {
    expect(readTarget('/anything', ['/'])).toEqual({ kind: 'engine', path: '/', query: NOTHING });
    expect(readTarget('?sid=a', ['/'])).toEqual({ kind: 'foreign' });
  });

  test('is read before the query: a bad query elsewhere is none of ours', () => {
    expect(readTarget('/app?sid=a&sid=b#c', PATHS)).toEqual({ kind: 'foreign' });
  });
});

describe('the query', () => {
  test.each<[string, string, Partial<EngineQuery>]>([
    [
      'socket.io-client 4',
      `EIO=4&transport=polling&t=shi61tdr&sid=${SID}`,
      { eio: '4', transport: 'polling', sid: SID },
    ],
    [
      'an upgrade',
      `EIO=4&transport=websocket&sid=${SID}`,
      { eio: '4', transport: 'websocket', sid: SID },
    ],
    [
      'JSONP',
      'EIO=3&transport=polling&t=Q839C_4&b64=1&j=0',
      { eio: '3', transport: 'polling', base64: true, jsonp: '0' },
    ],
    [
      'Swift',
      `transport=polling&b64=1&token=a%3Db%26sid%3D1&EIO=3&sid=${SID}`,
      { eio: '3', transport: 'polling', base64: true, sid: SID },
    ],
    ['an empty sid', 'EIO=4&transport=polling&sid=', { eio: '4', transport: 'polling' }],
    ['a sid without a value', 'transport=polling&sid', { transport: 'polling' }],
    ['empty values', 'EIO=&transport=&b64=&j=', {}],
    ['no query', '', {}],
    ['empty pairs', '&&transport=polling&', { transport: 'polling' }],
    ['other spellings, which no server reads', 'SID=a&Sid=b&eio=4&sid2=c&xsid=d&=e', {}],
    ['transports of other protocols', 'EIO=4&transport=webtransport', { eio: '4' }],
    ['a JSONP index that is no number', 'j=a(1)', {}],
    [
      'a semicolon among the application’s parameters',
      'token=a;b&transport=polling',
      { transport: 'polling' },
    ],
    [
      'encoded names of the application',
      'a%5B0%5D=1&a[1]=2&b+c=3&%=4&%zz=5&transport=polling',
      { transport: 'polling' },
    ],
    ['a parameter twice that decides nothing', 't=1&t=2&j=1&j=2', { jsonp: '2' }],
  ])('of %s is read', (_client, query, expected) => {
    expect(readTarget(`/socket.io/?${query}`, PATHS)).toEqual({
      kind: 'engine',
      path: '/socket.io/',
      query: { ...NOTHING, ...expected },
    });
  });

  test.each([
    ['two sids', 'sid=a&sid=b'],
    ['two equal sids', 'sid=a&x=1&sid=a'],
    ['an empty sid and another', 'sid=&sid=a'],
    ['a bare sid and another', 'sid&sid=a'],
    ['two transports', 'transport=polling&transport=websocket'],
    ['two versions', 'EIO=4&EIO=4'],
    ['an encoded sid', 'sid=a%62'],
    ['a sid with a plus', 'sid=a+b'],
    ['a sid with an equals sign', 'sid=a=b'],
    ['a sid with a slash', 'sid=a/b'],
    ['a sid of 129 characters', `sid=${'a'.repeat(129)}`],
    ['an encoded transport', 'transport=pol%6cing'],
    ['a version that is no number', 'EIO=four'],
    ['a version of four digits', 'EIO=4444'],
    ['an encoded name', 's%69d=a'],
    ['a wholly encoded name', '%73%69%64=a'],
    ['an encoded transport name', 'transpor%74=polling'],
    ['an encoded version name', '%45IO=4'],
    ['a name behind a blank', '+sid=a'],
    ['a name behind an encoded blank', '%20sid=a'],
    ['a name as a list', 'sid[]=a'],
    ['a name as an encoded list', 'sid%5b0]=a'],
    ['a name before an encoded NUL', 'sid%00x=a'],
    ['a sid behind a semicolon', 'x=1;sid=a'],
    ['a transport behind a semicolon', 'x;transport=polling'],
    ['a sid before a semicolon', 'sid=a;x=1'],
    ['a transport before a semicolon', 'transport=polling;x'],
    ['an encoded name behind a semicolon', 'x=1;s%69d=a'],
    ['a fragment', 't=1#&sid=a'],
  ])('with %s is malformed', (_what, query) => {
    const reading = readTarget(`/socket.io/?${query}`, PATHS);
    expect(reading.kind).toBe('malformed');
    expect(reading.kind === 'malformed' && reading.reason).not.toContain('a'.repeat(100));
  });

  test('may be long: a sid is copied out of it intact', () => {
    const reading = readTarget(`/socket.io/?sid=${SID}&token=${'x'.repeat(8000)}`, PATHS);
    expect(reading.kind === 'engine' && reading.query.sid).toBe(SID);
  });
});

describe('for every query', () => {
  const name = fc.oneof(
    fc.constantFrom(
      'sid',
      'transport',
      'EIO',
      'j',
      'b64',
      't',
      'SID',
      's%69d',
      'sid[]',
      '+sid',
      '',
    ),
    fc.string({ maxLength: 10 }),
  );
  const value = fc.oneof(
    fc.constantFrom('polling', 'websocket', '4', '', SID, '%61', 'a;sid=b'),
    fc.string({ maxLength: 20 }),
  );
  const query = fc
    .array(fc.tuple(name, fc.constantFrom('=', '', '=='), value, fc.constantFrom('&', '&', ';')))
    .map((pairs) => pairs.flat().join(''));

  test('what is read is what servers read that split at & and ;, or only at &, first or last', () => {
    fc.assert(
      fc.property(query, (text) => {
        const reading = readTarget(`/socket.io/?${text}`, PATHS);
        if (reading.kind !== 'engine') return;
        for (const server of [parse(text), parse(text.replaceAll(';', '&'))]) {
          for (const key of ['sid', 'transport', 'EIO'] as const) {
            expect(server[key] ?? '').toBeTypeOf('string');
          }
          expect(server['sid'] ?? '').toBe(reading.query.sid ?? '');
          expect(server['EIO'] ?? '').toBe(reading.query.eio ?? '');
          const known = ['polling', 'websocket'].find((each) => each === server['transport']);
          expect(known).toBe(reading.query.transport);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('a query of well-formed parameters in any order comes back', () => {
    const sid = fc
      .string({
        minLength: 1,
        maxLength: 128,
        unit: fc.constantFrom('a', 'z', 'A', 'Z', '0', '9', '-', '.', '_', '~'),
      })
      .filter(isSid);
    fc.assert(
      fc.property(
        sid,
        fc.constantFrom('polling', 'websocket'),
        fc.constantFrom('2', '3', '4'),
        fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 }),
        (id, transport, eio, order) => {
          const pairs = [`sid=${id}`, `transport=${transport}`, `EIO=${eio}`, 't=x'];
          const text = order.map((at) => pairs[at]).join('&');
          expect(readTarget(`/socket.io?${text}`, PATHS)).toEqual({
            kind: 'engine',
            path: '/socket.io/',
            query: { ...NOTHING, sid: id, transport, eio },
          });
        },
      ),
    );
  });

  test('nothing throws and a sid is always well formed', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const reading = readTarget(`/socket.io/?${text}`, PATHS);
        if (reading.kind !== 'engine') return;
        expect(reading.query.sid === undefined || isSid(reading.query.sid)).toBe(true);
        readTarget(text, PATHS);
      }),
    );
  });

  test('a repeated sid is refused wherever it stands', () => {
    fc.assert(
      fc.property(query, query, query, (before, between, after) => {
        expect(kindOf(`${before}&sid=a&${between}&sid=a&${after}`)).toBe('malformed');
      }),
    );
  });
});
