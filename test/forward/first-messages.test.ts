import { constants, deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FirstMessages } from '../../src/forward/first-messages.ts';
import type { MessageListener, Sender } from '../../src/forward/first-messages.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { frame } from '../helpers/frame.ts';

const DEFLATE = 'permessage-deflate; server_max_window_bits=12; client_max_window_bits=12';
const OPEN = '0{"sid":"abc","upgrades":[],"pingInterval":25000,"pingTimeout":20000}';

interface Heard extends MessageListener {
  readonly texts: string[];
  /** How often `onLost` was called. */
  readonly lost: () => number;
  /** Resolves when enough was heard or all is lost. */
  readonly over: Promise<void>;
}

function listen(wanted: number): Heard {
  const texts: string[] = [];
  let lost = 0;
  const { promise, resolve } = deferred();
  return {
    texts,
    lost: () => lost,
    over: withDeadline(promise, 5_000, 'enough was heard or all is lost'),
    onText(text) {
      texts.push(text);
      if (texts.length < wanted) return 'more';
      resolve();
      return 'enough';
    },
    onLost() {
      lost++;
      resolve();
    },
  };
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}

/** A text frame as `permessage-deflate` makes it: sync flush, its last four bytes left out. */
function deflated(text: string, options: { masked?: boolean } = {}): Buffer {
  const payload = deflateRawSync(text, { finishFlush: constants.Z_SYNC_FLUSH }).subarray(0, -4);
  return frame(payload, { ...options, first: 0xc1 });
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const points = [...new Set(at.map((share) => Math.floor(share * bytes.length)))].sort(
    (a, b) => a - b,
  );
  return [0, ...points].map((start, index) => bytes.subarray(start, points[index]));
}

test('reads the open packet of an upstream', () => {
  const heard = listen(1);
  const messages = new FirstMessages('upstream', undefined, heard);
  expect(messages.push(Buffer.concat([frame(OPEN), frame('40')]))).toBe(false);
  expect(heard.texts).toEqual([OPEN]);
});

test('reads an open packet that is compressed', async () => {
  const heard = listen(1);
  new FirstMessages('upstream', DEFLATE, heard).push(deflated(OPEN));
  await heard.over;
  expect(heard.texts).toEqual([OPEN]);
});

test('reads the masked messages of a client until it has finished its upgrade', () => {
  const heard = listen(2);
  const messages = new FirstMessages('client', undefined, heard);
  expect(messages.push(frame('2probe', { masked: true }))).toBe(true);
  expect(messages.push(frame('5', { masked: true }))).toBe(false);
  expect(messages.push(frame('42["hi"]', { masked: true }))).toBe(false);
  expect(heard.texts).toEqual(['2probe', '5']);
});

test('reads messages however they are cut into chunks and frames, and never changes a byte', async () => {
  const chunks = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
  const texts = fc.array(fc.string({ unit: 'binary', maxLength: 300 }), {
    minLength: 1,
    maxLength: 4,
  });
  const sender = fc.constantFrom<Sender>('client', 'upstream');
  await fc.assert(
    fc.asyncProperty(texts, chunks, sender, fc.boolean(), async (list, at, from, compressed) => {
      const options = { masked: from === 'client' };
      const make = compressed ? deflated : frame;
      const bytes = Buffer.concat(list.map((text) => make(text, options)));
      const before = Buffer.from(bytes);
      const heard = listen(list.length);
      const parameters = 'permessage-deflate; server_no_context_takeover';
      const messages = new FirstMessages(from, compressed ? parameters : undefined, heard);
      for (const chunk of cut(bytes, at)) messages.push(chunk);
      await heard.over;
      expect(heard.texts).toEqual(list);
      expect(heard.lost()).toBe(0);
      expect(bytes.equals(before)).toBe(true);
    }),
  );
});

describe('gives up, once and without throwing,', () => {
  test.each<[string, Sender, string | undefined, Buffer]>([
    [
      'on plain text in place of frames',
      'upstream',
      undefined,
      Buffer.from('HTTP/1.1 400 Bad\r\n'),
    ],
    ['on a masked frame of an upstream', 'upstream', undefined, frame(OPEN, { masked: true })],
    ['on an unmasked frame of a client', 'client', undefined, frame('5')],
    ['on compression that was not agreed on', 'upstream', undefined, deflated(OPEN)],
    ['on corrupt compression', 'upstream', DEFLATE, frame(Buffer.alloc(40, 0xff), { first: 0xc1 })],
    ['on text that is not UTF-8', 'upstream', undefined, frame(Buffer.from([0xc3, 0x28]))],
    ['on a frame that says it is endless', 'upstream', undefined, endlessFrame()],
    ['on a compressed flood', 'upstream', DEFLATE, deflated('x'.repeat(10_000_000))],
  ])('%s', async (_what, sender, extensions, bytes) => {
    const heard = listen(1);
    const messages = new FirstMessages(sender, extensions, heard);
    messages.push(bytes);
    await heard.over;
    expect(messages.push(bytes)).toBe(false);
    expect([heard.texts, heard.lost()]).toEqual([[], 1]);
  });

  test('after 64 KiB without a text message', () => {
    const heard = listen(1);
    const messages = new FirstMessages('upstream', undefined, heard);
    const binary = frame(Buffer.alloc(10_000), { first: 0x82 });
    const wanted = Array.from({ length: 8 }, () => messages.push(binary));
    expect(wanted).toEqual([true, true, true, true, true, true, false, false]);
    expect(heard.lost()).toBe(1);
  });

  test.each([
    'permessage-deflate; nonsense=1',
    'permessage-deflate; server_max_window_bits=99',
    ';;',
  ])('on the extension %j', (extensions) => {
    const heard = listen(1);
    expect(new FirstMessages('upstream', extensions, heard).push(frame(OPEN))).toBe(false);
    expect([heard.texts, heard.lost()]).toEqual([[], 1]);
  });

  test('on any bytes at all', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 10 }),
        fc.constantFrom<Sender>('client', 'upstream'),
        fc.constantFrom(undefined, DEFLATE),
        async (chunks, sender, extensions) => {
          const heard = listen(Infinity);
          const messages = new FirstMessages(sender, extensions, heard);
          for (const chunk of chunks) messages.push(Buffer.from(chunk));
          await new Promise((resolve) => setImmediate(resolve));
          messages.close();
          expect(heard.lost()).toBeLessThanOrEqual(1);
        },
      ),
    );
  });
});

test('is silent after it was closed in the middle of decompression', async () => {
  const closedOnes = Array.from({ length: 40 }, () => {
    const heard = listen(1);
    const messages = new FirstMessages('upstream', DEFLATE, heard);
    messages.push(deflated(OPEN));
    messages.close();
    return heard;
  });
  // Those that were closed must not keep the places in the queue for decompression either.
  const last = listen(1);
  new FirstMessages('upstream', DEFLATE, last).push(deflated(OPEN));
  await last.over;
  expect(last.texts).toEqual([OPEN]);
  expect(closedOnes.flatMap(({ texts }) => texts)).toEqual([]);
  expect(closedOnes.map(({ lost }) => lost())).toEqual(closedOnes.map(() => 0));
});

/** The head of a text frame of 2^40 bytes. */
function endlessFrame(): Buffer {
  return Buffer.from([0x81, 127, 0, 0, 1, 0, 0, 0, 0, 0]);
}
