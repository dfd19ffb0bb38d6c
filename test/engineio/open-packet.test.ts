import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readOpenMessage, readOpenPacket } from '../../src/engineio/open-packet.ts';
import { isSid } from '../../src/engineio/sid.ts';
import type { OpenPacket } from '../../src/engineio/types.ts';

const NODE = 'lv_VI97HAXpY6yYWAAAB';
const NETTY = '6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40';
const nodeJson = `{"sid":"${NODE}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}`;
const nettyJson = `{"sid":"${NETTY}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":60000}`;
const pythonJson = `{"sid":"${NODE}","upgrades":["websocket"],"pingTimeout":20000,"pingInterval":25000,"maxPayload":1000000}`;

const node: OpenPacket = {
  sid: NODE,
  pingIntervalMs: 25_000,
  pingTimeoutMs: 20_000,
  upgrades: ['websocket'],
  framing: 'eio4',
};
const netty: OpenPacket = { ...node, sid: NETTY, pingTimeoutMs: 60_000 };

/** Engine.IO 3 as bytes: a mark, one byte a decimal digit, ff, the packet. */
function bytes(packet: string, mark = '\x00'): string {
  const digits = Array.from(String(packet.length), (digit) => String.fromCharCode(Number(digit)));
  return `${mark}${digits.join('')}\xff${packet}`;
}

function text(packet: string): string {
  return `${String(packet.length)}:${packet}`;
}

function read(body: string): OpenPacket | undefined {
  return readOpenPacket(Buffer.from(body, 'latin1'));
}

function eio4(fields: unknown): OpenPacket | undefined {
  return read(`0${JSON.stringify(fields)}`);
}

describe('the open packet of', () => {
  test.each<[string, string, OpenPacket]>([
    ['Node 4', `0${nodeJson}`, node],
    ['Node 4 for Engine.IO 3', text(`0${nodeJson}`), { ...node, framing: 'eio3-text' }],
    [
      'Node 2, with a connect packet behind',
      `${text(`0${nodeJson}`)}2:40`,
      { ...node, framing: 'eio3-text' },
    ],
    ['Node 1, as bytes', bytes(`0${nodeJson}`), { ...node, framing: 'eio3-binary' }],
    [
      'Node 1, with another packet behind',
      `${bytes(`0${nodeJson}`)}\x00\x02\xff40`,
      { ...node, framing: 'eio3-binary' },
    ],
    ['netty, as bytes', bytes(`0${nettyJson}`), { ...netty, framing: 'eio3-binary' }],
    ['netty with b64', text(`0${nettyJson}`), { ...netty, framing: 'eio3-text' }],
    ['netty 2 for Engine.IO 4', `0${nettyJson}`, netty],
    ['python, with a message behind', `0${pythonJson}\x1e4hello`, node],
    ['python, with a Socket.IO sid behind', `0${pythonJson}\x1e40{"sid":"other"}`, node],
    [
      'googollee, whose newline counts',
      bytes(`0${nodeJson}\n`),
      { ...node, framing: 'eio3-binary' },
    ],
    ['googollee with b64', text(`0${nodeJson}\n`), { ...node, framing: 'eio3-text' }],
    ['a server that adds a newline', `0${nodeJson}\r\n`, node],
    ['a binary packet', bytes(`\x00${nodeJson}`, '\x01'), { ...node, framing: 'eio3-binary' }],
    [
      'a packet in base64',
      text(`b0${Buffer.from(nodeJson).toString('base64')}`),
      { ...node, framing: 'eio3-text' },
    ],
    [
      'Node over JSONP',
      `___eio[0](${JSON.stringify(`${text(`0${nodeJson}`)}2:40`)});`,
      { ...node, framing: 'eio3-text' },
    ],
    ['Node 4 over JSONP', `___eio[12](${JSON.stringify(`0${nodeJson}`)});`, node],
    [
      'netty over JSONP, in single quotes',
      `___eio[0]('${text(`0${nettyJson}`)}');`,
      { ...netty, framing: 'eio3-text' },
    ],
    [
      'python over JSONP, with a raw separator',
      `___eio[0]("0${pythonJson.replaceAll('"', '\\"')}\x1e4hello");`,
      node,
    ],
    [
      'python 3 over JSONP, as bytes',
      `___eio[0]("${bytes(`0${nodeJson}`).replaceAll('"', '\\"')}");`,
      { ...node, framing: 'eio3-binary' },
    ],
    [
      'googollee over JSONP, its newline escaped',
      `___eio[0](${JSON.stringify(text(`0${nodeJson}\n`))});`,
      { ...node, framing: 'eio3-text' },
    ],
    [
      'a server that escapes more than it must',
      `___eio[]("\\x30\\u007b\\"\\u0073\\x69d\\":\\t\\"${NODE}\\",\\"x\\":\\"\\'\\/\\\\\\\\\\"}")`,
      { ...node, pingIntervalMs: 60_000, pingTimeoutMs: 60_000, upgrades: [] },
    ],
  ])('%s is read', (_server, body, packet) => {
    expect(read(body)).toEqual(packet);
  });

  test('netty has the length 113 in bytes 01 01 03', () => {
    const packet = `0${nettyJson}`.padEnd(113);
    expect(bytes(packet).startsWith('\x00\x01\x01\x03\xff0{')).toBe(true);
    expect(read(bytes(packet))).toEqual({ ...netty, framing: 'eio3-binary' });
  });
});

describe('no open packet is', () => {
  test.each([
    ['nothing', ''],
    ['a page', '<!DOCTYPE html><title>0{"sid":"abc"}</title>'],
    ['an error', '{"code":1,"message":"Session ID unknown"}'],
    ['a message', '40{"sid":"abc"}'],
    ['a message before an open packet', `2\x1e0${nodeJson}`],
    ['an Engine.IO 3 message before an open packet', `2:40${text(`0${nodeJson}`)}`],
    ['a packet without JSON', '0'],
    ['broken JSON', '0{"sid":"abc"'],
    ['JSON that is no object', text('0null')],
    ['JSON that is a string', text('0"abc"')],
    ['a list', text('0["sid"]')],
    ['a length beyond the body', `99:0${nodeJson.slice(0, 50)}`],
    ['a length of seven digits', `${String(nodeJson.length + 1).padStart(7, '0')}:0${nodeJson}`],
    ['bytes with a digit of ten', `\x00\x0b\x03\xff${`0${nettyJson}`.padEnd(113)}`],
    ['a length that is no number', `9x:0${nodeJson}`],
    ['no length', `:0${nodeJson}`],
    ['bytes without a length', `\x00\xff0${nodeJson}`],
    ['bytes with a length in ASCII', `\x0097\xff0${nodeJson}`],
    ['bytes with a length of seven digits', `\x00\x00\x00\x00\x00\x00\x09\x07\xff0${nodeJson}`],
    ['bytes beyond the body', `\x00\x09\x09\x09\xff0${nodeJson}`],
    ['bytes without a mark', `\x00\x09\x07`],
    ['a binary message', bytes(`\x04${nodeJson}`, '\x01')],
    ['a text type in a binary packet', bytes(`0${nodeJson}`, '\x01')],
    ['JSONP cut short', `___eio[0]("0${nodeJson.replaceAll('"', '\\"')}`],
    ['JSONP that ends in a backslash', '___eio[0]("0{\\'],
    ['JSONP of something else', '___eio[0](0);'],
    ['JSONP with a Buffer in JSON', '___eio[0]({"type":"Buffer","data":[0,9,7,255,48]});'],
  ])('%s', (_what, body) => {
    expect(read(body)).toBeUndefined();
  });

  test.each([
    ['no sid', {}],
    ['an empty sid', { sid: '' }],
    ['a number for a sid', { sid: 12 }],
    ['a sid with a slash', { sid: 'a/b' }],
    ['a sid of 129 characters', { sid: 'a'.repeat(129) }],
    ['a sid with a line break', { sid: 'abc\r\nX: y' }],
  ])('one with %s', (_what, fields) => {
    expect(eio4(fields)).toBeUndefined();
  });

  test('one whose sid comes from a prototype', () => {
    expect(read('0{"__proto__":{"sid":"abc"}}')).toBeUndefined();
    Object.defineProperty(Object.prototype, 'sid', { value: 'abc', configurable: true });
    try {
      expect(read('0{"upgrades":[]}')).toBeUndefined();
    } finally {
      Reflect.deleteProperty(Object.prototype, 'sid');
    }
  });
});

describe('the times', () => {
  test.each<[string, string, number]>([
    ['missing', '0{"sid":"a"}', 60_000],
    ['a string', '0{"sid":"a","pingInterval":"25000"}', 60_000],
    ['zero', '0{"sid":"a","pingInterval":0}', 60_000],
    ['negative', '0{"sid":"a","pingInterval":-1}', 60_000],
    ['infinite', '0{"sid":"a","pingInterval":1e999}', 60_000],
    ['null', '0{"sid":"a","pingInterval":null}', 60_000],
    ['a fraction', '0{"sid":"a","pingInterval":0.5}', 0.5],
    ['more than a day', '0{"sid":"a","pingInterval":1e12}', 86_400_000],
  ])('that are %s are bounded', (_what, body, pingIntervalMs) => {
    expect(read(body)?.pingIntervalMs).toBe(pingIntervalMs);
  });
});

describe('the upgrades', () => {
  test.each<[string, unknown, string[]]>([
    ['missing', undefined, []],
    ['no list', 'websocket', []],
    ['of mixed kinds', ['websocket', 1, null, {}, 'webtransport'], ['websocket', 'webtransport']],
    ['overlong', ['x'.repeat(33)], []],
    ['many', Array<string>(100).fill('a'), Array<string>(8).fill('a')],
  ])('that are %s are cleaned', (_what, upgrades, expected) => {
    expect(eio4({ sid: 'a', upgrades })?.upgrades).toEqual(expected);
  });
});

describe('a WebSocket message', () => {
  test('is an open packet if it begins as one', () => {
    expect(readOpenMessage(`0${nodeJson}`)).toEqual(node);
    expect(readOpenMessage(`0${nettyJson}\n`)).toEqual(netty);
  });

  test.each([
    '',
    '40',
    '3probe',
    `4${nodeJson}`,
    text(`0${nodeJson}`),
    '0{',
    '0{"sid":1}',
    `0{"sid":"a","x":"${'x'.repeat(65_536)}"}`,
  ])('%.20j… is none', (message) => {
    expect(readOpenMessage(message)).toBeUndefined();
  });
});

describe('for every body', () => {
  const sid = fc
    .string({
      minLength: 1,
      maxLength: 128,
      unit: fc.constantFrom('a', 'z', 'A', 'Z', '0', '9', '-', '.', '_', '~'),
    })
    .filter(isSid);
  const fields = fc.record({
    sid,
    upgrades: fc.subarray(['websocket', 'webtransport']),
    pingInterval: fc.integer({ min: 1, max: 86_400_000 }),
    pingTimeout: fc.integer({ min: 1, max: 86_400_000 }),
  });
  const framings: [OpenPacket['framing'], (packet: string) => string][] = [
    ['eio4', (packet) => packet],
    ['eio4', (packet) => `${packet}\x1e4hi`],
    ['eio3-text', text],
    ['eio3-text', (packet) => text(`${packet}\n`)],
    ['eio3-binary', (packet) => `${bytes(packet)}\x00\x02\xff40`],
  ];
  const wrappings: ((payload: string) => string)[] = [
    (payload) => payload,
    (payload) => `___eio[3](${JSON.stringify(payload)});`,
    (payload) => `___eio[3]('${payload.replace(/[\\']/g, '\\$&')}');`,
  ];

  test('an open packet comes back from every framing and wrapping', () => {
    fc.assert(
      fc.property(
        fields,
        fc.constantFrom(...framings),
        fc.constantFrom(...wrappings),
        (open, [framing, frame], wrap) => {
          expect(read(wrap(frame(`0${JSON.stringify(open)}`)))).toEqual({
            sid: open.sid,
            pingIntervalMs: open.pingInterval,
            pingTimeoutMs: open.pingTimeout,
            upgrades: open.upgrades,
            framing,
          });
        },
      ),
    );
  });

  test('a body that is cut short has no open packet', () => {
    const cuts = [`0${nodeJson}`, text(`0${nodeJson}`), bytes(`0${nodeJson}`)];
    for (const body of [...cuts, `___eio[0](${JSON.stringify(`0${nodeJson}`)}`]) {
      for (let length = 0; length < body.length - 1; length++) {
        expect(read(body.slice(0, length))).toBeUndefined();
      }
    }
  });

  test('nothing throws and whatever is read is well formed', () => {
    const start = fc.constantFrom(
      '',
      '0{',
      '0',
      '5:0',
      '\x00\x05\xff0',
      '\x01\x02\xff',
      '___eio[0]("',
    );
    fc.assert(
      fc.property(
        start,
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.json(),
          fc.json().map((json) => `{"sid":${json}}`),
        ),
        (before, after) => {
          for (const open of [read(before + after), readOpenMessage(before + after)]) {
            expect(open === undefined || isSid(open.sid)).toBe(true);
          }
        },
      ),
      { numRuns: 2000 },
    );
  });
});
