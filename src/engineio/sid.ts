/** Longest session id that is routed, in characters; the longest that a server makes by default has 36. */
export const MAX_SID_LENGTH = 128;

/** Below this length a session id may be a counter: random ones have 16 characters or more. */
const RANDOM_SID_LENGTH = 16;

/** 1 at the code of each character that RFC 3986 section 2.3 calls unreserved. */
const UNRESERVED: Uint8Array = unreserved();

function unreserved(): Uint8Array {
  const table = new Uint8Array(128);
  const characters = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~';
  for (const character of characters) table[character.charCodeAt(0)] = 1;
  return table;
}

/**
 * True if a text can be a session id: 1 to {@link MAX_SID_LENGTH} characters that every server
 * reads the same from a query string, percent-decoding or not (`[A-Za-z0-9._~-]`).
 */
export function isSid(text: string): boolean {
  if (text.length === 0 || text.length > MAX_SID_LENGTH) return false;
  for (let at = 0; at < text.length; at++) {
    if (UNRESERVED[text.charCodeAt(at)] !== 1) return false;
  }
  return true;
}

/**
 * True if a sid is so short that it could be a counter (googollee/go-socket.io: `1`, `2`, … `z`, `10`),
 * so that anyone may have asked for it before its session began.
 */
export function guessableSid(sid: string): boolean {
  return sid.length < RANDOM_SID_LENGTH;
}

/**
 * The sids that a handshake asks for: well-formed values of an `io` header and of `io` cookies, in
 * their order. netty-socketio gives the new session such a sid instead of a random one.
 *
 * @param rawHeaders - name, value, name, value, … as node:http gives them
 */
export function carriedSids(rawHeaders: readonly string[]): string[] {
  const sids: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at]?.toLowerCase();
    const value = rawHeaders[at + 1] ?? '';
    if (name === 'io' && isSid(value.trim())) sids.push(value.trim());
    if (name !== 'cookie') continue;
    for (const pair of value.split(';')) {
      const sid = sidOfCookie(pair);
      if (sid !== undefined) sids.push(sid);
    }
  }
  return sids;
}

/**
 * The same headers without any sid for a server to reuse: no `io` header, no `io` cookie that
 * {@link carriedSids} would report. Everything else stays byte for byte and in order; a Cookie
 * header with nothing left is dropped.
 */
export function withoutIoCookie(rawHeaders: readonly string[]): string[] {
  const kept: string[] = [];
  for (let at = 0; at + 1 < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? '';
    const value = rawHeaders[at + 1] ?? '';
    const rest = name.length === 6 && name.toLowerCase() === 'cookie' ? withoutIo(value) : value;
    if (name.toLowerCase() === 'io' || (rest === '' && value !== '')) continue;
    kept.push(name, rest);
  }
  return kept;
}

function withoutIo(cookies: string): string {
  const pairs = cookies.split(';');
  const others = pairs.filter((pair) => sidOfCookie(pair) === undefined);
  if (others.length === pairs.length) return cookies;
  const rest = others.join(';').trimStart();
  return rest.trimEnd() === '' ? '' : rest;
}

/**
 * The sid in one `name=value` of a Cookie header, if its name is `io`; as lenient as netty's
 * ServerCookieDecoder.LAX: commas before the name and after the value, blanks, quotes.
 */
function sidOfCookie(pair: string): string | undefined {
  const equals = pair.indexOf('=');
  if (equals === -1) return undefined;
  const name = pair.slice(0, equals).replace(/^[\s,]+/, '');
  if (name.trimEnd() !== 'io') return undefined;
  const value = pair.slice(equals + 1).trim();
  const bare = value.endsWith(',') ? value.slice(0, -1) : value;
  const sid =
    bare.length > 1 && bare.startsWith('"') && bare.endsWith('"') ? bare.slice(1, -1) : bare;
  return isSid(sid) ? sid : undefined;
}
