import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closePacket, endsSession } from '../../src/engineio/close-packet.ts';

test.each([
  ['eio4', '1'],
  ['eio3-text', '1:1'],
  ['eio3-binary', '1:1'],
] as const)('the close packet of a session framed as %s is %j', (framing, body) => {
  expect(closePacket(framing)).toEqual({ body, contentType: 'text/plain;charset=UTF-8' });
  expect(endsSession(Buffer.from(body))).toBe(true);
});

describe('a payload', () => {
  test.each([
    '1',
    '1:1',
    '\x00\x01\xff1',
    'd=1',
    'd=1%3A1',
    '3\x1e1',
    '41\x1e1',
    '42["hello",{"a":1}]\x1e1',
    'bAQID\x1e1',
  ])('%j ends its session', (text) => {
    expect(endsSession(Buffer.from(text, 'latin1'))).toBe(true);
  });

  test.each([
    '',
    '11',
    '\x1e1',
    '6',
    '2probe',
    '41',
    '1:2',
    '2:40',
    '1:11:1',
    // Messages that end like a close packet.
    '42["1:1',
    '7:42["1:1',
    '4:4a1:1',
    '4ends in 1',
    // Engine.IO 3: a separator is an ordinary character there.
    '4:4a\x1e1',
    '1234567890123:4a\x1e1',
    '\x00\x04\xff4a\x1e1',
    '\x01\x04\xff\x04a\x1e1',
    'd=4\x1e1',
  ])('%j does not end its session for certain', (text) => {
    expect(endsSession(Buffer.from(text, 'latin1'))).toBe(false);
  });

  test('of Engine.IO 3 that ends in a message never ends a session', () => {
    fc.assert(
      fc.property(fc.string(), fc.constantFrom('', '1:1', '\x1e1', '1'), (message, tail) => {
        const packet = `4${message}${tail}`;
        expect(endsSession(Buffer.from(`${String(packet.length)}:${packet}`))).toBe(false);
      }),
    );
  });

  test('of Engine.IO 4 ends a session exactly if its last packet is a close packet', () => {
    const packet = fc.constantFrom('2', '3', '40', '42["x"]', 'bAA==', '1', '6', '411');
    fc.assert(
      fc.property(fc.array(packet, { minLength: 1 }), (packets) => {
        expect(endsSession(Buffer.from(packets.join('\x1e')))).toBe(packets.at(-1) === '1');
      }),
    );
  });

  test('of any bytes is taken', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        expect(endsSession(Buffer.from(bytes))).toBeTypeOf('boolean');
      }),
    );
  });
});
