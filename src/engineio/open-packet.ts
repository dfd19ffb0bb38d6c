import { isSid } from './sid.ts';
import type { OpenPacket } from './types.ts';

type Framing = OpenPacket['framing'];

/** The first packet of a payload, if it is of type "open": its JSON, still unread. */
interface FirstPacket {
  readonly framing: Framing;
  readonly json: string;
}

/** Only so much of a body is looked at, in bytes: an open packet has about a hundred. */
const MAX_PAYLOAD_BYTES = 64 * 1024;
const MAX_LENGTH_DIGITS = 6;
const MAX_UPGRADES = 8;
const MAX_UPGRADE_LENGTH = 32;

/** What an unreadable interval or timeout counts as; both together give a session 120 s. */
const FALLBACK_PING_MS = 60_000;
/** Longest interval or timeout that is believed; longer ones are cut to it. */
const MAX_PING_MS = 24 * 60 * 60 * 1000;

/** Separates packets in an Engine.IO 4 payload. */
const RECORD_SEPARATOR = '\x1e';

/**
 * Reads the open packet in the body of a polling handshake's answer, or returns undefined if the
 * first packet is none. Knows every framing a server uses: Engine.IO 4 (`0{…}`, more packets behind
 * 0x1e), Engine.IO 3 as text (`97:0{…}`, `…:b0` with base64) and as bytes (`00 09 07 ff 0{…}`), and
 * each of them inside a JSONP answer. Later packets are not looked at: the `sid` in a Socket.IO
 * connect packet is another one.
 *
 * An interval or timeout that is missing or no positive number counts as 60 s, one beyond a day as
 * a day. Never throws.
 *
 * @param body - without transfer and content coding
 */
export function readOpenPacket(body: Buffer): OpenPacket | undefined {
  // Every framing is ASCII or raw bytes, so one character a byte loses nothing.
  const text = body.toString('latin1', 0, MAX_PAYLOAD_BYTES);
  const payload = text.startsWith('___eio[') ? jsonpContent(text) : text;
  const packet = payload === undefined ? undefined : firstPacket(payload);
  return packet === undefined ? undefined : openPacket(packet);
}

/**
 * Reads the open packet in the first text message of a WebSocket handshake, or returns undefined.
 * Its framing is always `eio4`: over WebSocket both protocol versions send packets bare.
 */
export function readOpenMessage(text: string): OpenPacket | undefined {
  if (!text.startsWith('0{') || text.length > MAX_PAYLOAD_BYTES) return undefined;
  return openPacket({ framing: 'eio4', json: text.slice(1) });
}

function firstPacket(payload: string): FirstPacket | undefined {
  if (payload.startsWith('0{')) {
    const end = payload.indexOf(RECORD_SEPARATOR);
    return { framing: 'eio4', json: payload.slice(1, end === -1 ? undefined : end) };
  }
  const isBytes = payload.startsWith('\x00') || payload.startsWith('\x01');
  return isBytes ? bytesPacket(payload) : textPacket(payload);
}

/** `97:0{…}`; the length counts the packet's type and, with googollee, a newline at the end. */
function textPacket(payload: string): FirstPacket | undefined {
  const colon = payload.indexOf(':');
  const digits = payload.slice(0, colon);
  if (colon > MAX_LENGTH_DIGITS || !/^\d+$/.test(digits)) return undefined;
  const packet = exactly(payload, colon + 1, Number(digits));
  if (packet?.startsWith('0') === true) return { framing: 'eio3-text', json: packet.slice(1) };
  if (packet?.startsWith('b0') !== true) return undefined;
  return {
    framing: 'eio3-text',
    json: Buffer.from(packet.slice(2), 'base64').toString('latin1'),
  };
}

/** `00 09 07 ff 0{…}`: one byte a decimal digit; 01 marks a binary packet, whose type is a byte too. */
function bytesPacket(payload: string): FirstPacket | undefined {
  const mark = payload.indexOf('\xff');
  if (mark < 2 || mark > MAX_LENGTH_DIGITS + 1) return undefined;
  let length = 0;
  for (let at = 1; at < mark; at++) {
    const digit = payload.charCodeAt(at);
    if (digit > 9) return undefined;
    length = length * 10 + digit;
  }
  const packet = exactly(payload, mark + 1, length);
  const type = payload.startsWith('\x00') ? '0' : '\x00';
  if (packet?.startsWith(type) !== true) return undefined;
  return { framing: 'eio3-binary', json: packet.slice(1) };
}

function exactly(text: string, from: number, length: number): string | undefined {
  return from + length > text.length ? undefined : text.slice(from, from + length);
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t'],
  ['b', '\b'],
  ['f', '\f'],
  ['v', '\v'],
  ['0', '\0'],
]);

/** The string in `___eio[0]("…");`; netty-socketio writes it in single quotes. */
function jsonpContent(text: string): string | undefined {
  const opening = /^___eio\[\d{0,10}\]\((["'])/.exec(text);
  if (opening === null) return undefined;
  const from = opening[0].length;
  let end = from;
  while (end < text.length && text[end] !== opening[1]) end += text[end] === '\\' ? 2 : 1;
  if (end >= text.length) return undefined;
  return text
    .slice(from, end)
    .replace(
      /\\(?:u([0-9a-f]{4})|x([0-9a-f]{2})|([^]))/gi,
      (_, long: string | undefined, short: string | undefined, character: string) => {
        const code = long ?? short;
        if (code !== undefined) return String.fromCharCode(parseInt(code, 16));
        return ESCAPES.get(character) ?? character;
      },
    );
}

function openPacket({ framing, json }: FirstPacket): OpenPacket | undefined {
  const fields = parseJson(json);
  if (typeof fields !== 'object' || fields === null) return undefined;
  const sid = own(fields, 'sid');
  if (typeof sid !== 'string' || !isSid(sid)) return undefined;
  return {
    sid,
    pingIntervalMs: pingMs(own(fields, 'pingInterval')),
    pingTimeoutMs: pingMs(own(fields, 'pingTimeout')),
    upgrades: upgrades(own(fields, 'upgrades')),
    framing,
  };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function own(fields: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(fields, name)?.value;
}

function pingMs(value: unknown): number {
  // JSON can say 1e999, which is read as Infinity.
  if (typeof value !== 'number' || !Number.isFinite(value) || value <= 0) return FALLBACK_PING_MS;
  return Math.min(value, MAX_PING_MS);
}

function upgrades(value: unknown): string[] {
  if (!Array.isArray(value)) return [];
  return value
    .slice(0, MAX_UPGRADES)
    .filter(
      (name): name is string => typeof name === 'string' && name.length <= MAX_UPGRADE_LENGTH,
    );
}
