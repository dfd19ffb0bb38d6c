import type { Flavour, OpenPacket } from './types.ts';

/** What a server does with a WebSocket upgrade whose sid it does not know. */
export type WsUnknown =
  | 'http-400'
  | 'http-403'
  /** Depends on what the application runs in: 400 under aiohttp, 403 under uvicorn. */
  | 'http-400-or-403'
  /** A 101 is no yes: the connection is dropped right after it. */
  | '101-then-close'
  /** Nothing is known; expect anything. */
  | 'any';

/** The answer of an upstream to a request with a sid, as far as it can say "unknown session". */
export interface SessionAnswer {
  status: number;
  contentType: string | undefined;
  /** undefined: no Content-Length header. */
  contentLength: number | undefined;
  /** `Transfer-Encoding: chunked` was used; undefined counts as no. */
  chunked?: boolean | undefined;
  /** The first 512 bytes or less, without transfer coding. */
  body: string;
}

/** What the router knows about one family of servers. */
export interface FlavourTraits {
  readonly flavour: Flavour;
  readonly wsUnknown: WsUnknown;
  /** True if a CORS preflight without a sid opens a session, whose sid its client never learns. */
  readonly opensOnPreflight?: true;
  /** True if a handshake's answer bears the marks of this family; `header` takes lower-case names. */
  readonly opens: (open: OpenPacket, header: HeaderOf) => boolean;
  /** True if an answer is this family's way to say over HTTP that it does not know the session. */
  readonly saysUnknown: (answer: SessionAnswer) => boolean;
}

/** Value of a header by its lower-case name, several of one name joined by commas. */
export type HeaderOf = (name: string) => string | undefined;

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const BASE64URL = /^[\w-]+$/;
const PYTHON_SERVER = /\b(aiohttp|uvicorn|hypercorn|daphne|gunicorn|werkzeug|python)\b/i;

/** One entry a family, its source in the comment above it; of several that fit the first counts. */
export const FLAVOURS: readonly FlavourTraits[] = [
  // python-engineio 3.14.2, 4.13.3: base_server.py generate_id, async_server.py handle_request; aiohttp
  // 3.14.3 and uvicorn 0.54 observed. The messages are JSON strings. uvicorn's empty 403 to an upgrade
  // does not count: any refusal of the application looks the same.
  {
    flavour: 'python',
    wsUnknown: 'http-400-or-403',
    opens: (_open, header) => PYTHON_SERVER.test(header('server') ?? ''),
    saysUnknown: ({ status, body }) =>
      status === 400 && /^"?(Invalid session |'Session is disconnected')/.test(body),
  },
  // netty-socketio 1.7.17, 2.0.9: AuthorizeHandler, EncoderHandler; observed. Its cookie has no
  // attributes; a UUID alone proves nothing, since other servers can be told to make them. It answers
  // 500 with neither length nor body. Node's own empty 500 (bad method, overlapping polls) leaves the
  // session alive and is chunked or has a length. AuthorizeHandler makes a session for any method
  // (1.7.17 and 2.0.14 observed); one made by OPTIONS has no namespace and is never removed, neither
  // by a close packet nor by the ping timeout.
  {
    flavour: 'netty',
    wsUnknown: '101-then-close',
    opensOnPreflight: true,
    opens: ({ sid }, header) => UUID.test(sid) && setsBareCookie(sid, header),
    saysUnknown: ({ status, contentLength, chunked, body }) =>
      status === 500 && contentLength === undefined && chunked !== true && body === '',
  },
  // googollee/go-socket.io 1.4.4 to 1.7.0: engineio/session/session_id_generator.go (a counter in base
  // 36), engineio/server.go ServeHTTP (a session for any method). Speaks Engine.IO 3 only.
  {
    flavour: 'go-googollee',
    wsUnknown: 'http-400',
    opensOnPreflight: true,
    opens: ({ sid, framing }) => framing !== 'eio4' && /^[0-9a-z]{1,8}$/.test(sid),
    saysUnknown: ({ status, body }) => status === 400 && body.startsWith('invalid sid value'),
  },
  // socketioxide 5e54e9d, 0.18.9: engineioxide sid.rs (12 bytes in base64url), errors.rs,
  // transport/ws.rs; observed. Its error codes are strings.
  {
    flavour: 'rust',
    wsUnknown: '101-then-close',
    opens: ({ sid, framing }) =>
      sid.length === 16 && BASE64URL.test(sid) && framing !== 'eio3-binary',
    saysUnknown: ({ status, body }) => status === 400 && codeOfUnknown(body) === '1',
  },
  // walkor/phpsocket.io: src/Engine/Engine.php handshake, sendErrorMessage (every error is a 403, its
  // code a number in some versions and a string in others).
  {
    flavour: 'php',
    wsUnknown: 'http-403',
    opens: ({ sid }) => /^[0-9a-f]{24}$/.test(sid),
    saysUnknown: ({ status, body }) => status === 403 && codeOfUnknown(body) !== undefined,
  },
  // engine.io 1.8.5 to 6.6.12: server.js verify, abortRequest, abortUpgrade; observed. The words of
  // Engine.IO for Bun 0.1.2, of the µWebSockets server and of engine.io-server-java are the same. Code 3
  // does not count: a poll that comes after the upgrade gets it while the session lives on.
  {
    flavour: 'node',
    wsUnknown: 'http-400',
    opens: ({ sid }, header) =>
      sid.length === 20 && BASE64URL.test(sid) && bearsNodeHeaders(sid, header),
    saysUnknown: ({ status, contentType, body }) =>
      status === 400 &&
      (codeOfUnknown(body) === 1 ||
        (isBareMessage(body) && contentType?.startsWith('text/html') === true)),
  },
  // zishang520/socket.io 3.0.4 (Go): pkg/utils/base64id.go (18 bytes in base64url), servers/engine
  // server.go abortUpgrade; observed. Its words over polling are Node's, so that there "unknown session"
  // reads as `node`; to an upgrade it says the bare message as Node does, in what Go takes it for.
  {
    flavour: 'go-zishang',
    wsUnknown: 'http-400',
    opens: ({ sid }) => sid.length === 24 && BASE64URL.test(sid),
    saysUnknown: ({ status, contentType, body }) =>
      status === 400 && isBareMessage(body) && contentType === 'text/plain; charset=utf-8',
  },
  {
    flavour: 'unknown',
    wsUnknown: 'any',
    opens: () => true,
    saysUnknown: () => false,
  },
];

/**
 * The family of the server that answered a handshake, by sid, framing and headers; `unknown` if the
 * marks are missing or fit several. It is a good guess and not proof: applications can make their
 * own sids, and proxies can change headers.
 *
 * @param header - the answer's headers by lower-case name, several of one name joined by commas
 */
export function recogniseFlavour(open: OpenPacket, header: HeaderOf): Flavour {
  return FLAVOURS.find((traits) => traits.opens(open, header))?.flavour ?? 'unknown';
}

/**
 * The family in whose way an answer says that the session is unknown to the server, or undefined if
 * it does not say so. Strict, because a binding is deleted on it: words that merely resemble these
 * leave the binding to its time to live.
 */
export function saysSessionUnknown(answer: SessionAnswer): Flavour | undefined {
  return FLAVOURS.find((traits) => traits.saysUnknown(answer))?.flavour;
}

/** True if servers of this family open a session for a CORS preflight without a sid. */
export function opensOnPreflight(flavour: Flavour): boolean {
  return FLAVOURS.find((traits) => traits.flavour === flavour)?.opensOnPreflight === true;
}

/** The code beside Engine.IO's message for an unknown session: 1, or "1" from some servers. */
function codeOfUnknown(body: string): 1 | '1' | undefined {
  if (!body.includes('Session ID unknown')) return undefined;
  try {
    const said: unknown = JSON.parse(body);
    if (typeof said !== 'object' || said === null) return undefined;
    if (!('message' in said) || said.message !== 'Session ID unknown') return undefined;
    if (!('code' in said)) return undefined;
    return said.code === 1 || said.code === '1' ? said.code : undefined;
  } catch {
    return undefined;
  }
}

/** What an upgrade is refused with, where the words stand alone. */
function isBareMessage(body: string): boolean {
  return body === 'Session ID unknown';
}

function setsBareCookie(sid: string, header: HeaderOf): boolean {
  const cookies = header('set-cookie')?.split(',') ?? [];
  return cookies.some((cookie) => cookie.trim() === `io=${sid}`);
}

/** Node names no server; what it adds is its keep-alive hint, `no-store`, or the old cookie. */
function bearsNodeHeaders(sid: string, header: HeaderOf): boolean {
  if (header('server') !== undefined) return false;
  return (
    header('keep-alive')?.startsWith('timeout=') === true ||
    header('cache-control') === 'no-store' ||
    header('set-cookie')?.includes(`io=${sid}; Path=/`) === true
  );
}
