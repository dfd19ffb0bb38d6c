import type { OpenPacket } from './types.ts';

const RECORD_SEPARATOR = 0x1e;
const DIGIT_0 = 0x30;
const DIGIT_1 = 0x31;
const DIGIT_6 = 0x36;
const LETTER_B = 0x62;

/** Bodies that are a close packet and nothing else: Engine.IO 4, 3 as text, 3 as bytes, and JSONP. */
const CLOSING_BODIES: ReadonlySet<string> = new Set([
  '1',
  '1:1',
  '\x00\x01\xff1',
  'd=1',
  'd=1%3A1',
]);
const LONGEST_CLOSING_BODY = Math.max(...Array.from(CLOSING_BODIES, (body) => body.length));

/**
 * The body of a POST that ends a session on its server. Servers of Engine.IO 3 take the text form
 * from every client, also where they answered in the binary one.
 */
export function closePacket(framing: OpenPacket['framing']): { body: string; contentType: string } {
  return { body: framing === 'eio4' ? '1' : '1:1', contentType: 'text/plain;charset=UTF-8' };
}

/**
 * True if a payload that a client posted, or that a poll was answered with, certainly ends its
 * session: it is a close packet alone, or an Engine.IO 4 payload whose last packet is one. A close
 * packet behind others in an Engine.IO 3 payload is not recognised, because a message may end in
 * the same characters.
 *
 * @param payload - the whole body, without transfer coding
 */
export function endsSession(payload: Buffer): boolean {
  if (payload.length <= LONGEST_CLOSING_BODY && CLOSING_BODIES.has(payload.toString('latin1'))) {
    return true;
  }
  const closesLast =
    payload.length >= 3 && payload.at(-1) === DIGIT_1 && payload.at(-2) === RECORD_SEPARATOR;
  return closesLast && isEngineIo4(payload);
}

/** True if the first packet begins with an Engine.IO 4 type and cannot be a length of Engine.IO 3. */
function isEngineIo4(payload: Buffer): boolean {
  const type = payload[0] ?? 0;
  if (type === LETTER_B) return true;
  if (type < DIGIT_0 || type > DIGIT_6) return false;
  return !/^\d+:/.test(payload.toString('latin1', 0, 16));
}
