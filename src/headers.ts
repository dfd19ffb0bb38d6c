/*
 * Headers here are Node's flat `rawHeaders`: name, value, name, value … as they stood on the wire,
 * one char per byte (latin1). Text built from them has to be written as latin1 again.
 */

/** How {@link requestLines} rewrites a request header. */
export interface RequestRewrite {
  /** Written in place of all forwarding headers of the client; see `forwarding.ts`. */
  readonly forwarding: readonly (readonly [string, string])[];
  /** More names to leave out, in lower case. */
  readonly drop?: ReadonlySet<string>;
  readonly connection: 'keep-alive' | 'close' | 'upgrade';
}

const CONNECTION_LINES: Readonly<Record<RequestRewrite['connection'], string>> = {
  'keep-alive': 'Connection: keep-alive\r\n',
  close: 'Connection: close\r\n',
  upgrade: 'Connection: Upgrade\r\nUpgrade: websocket\r\n',
};

/** A `Connection` header that could take these away would itself be the attack. */
const NEVER_HOP_BY_HOP: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'cookie',
  'authorization',
]);

/**
 * The header block of the request to the upstream: `Name: value` lines, each ended by CRLF, without
 * the empty line after them. Order, case and bytes of what stays are the client's.
 *
 * Left out: hop-by-hop fields and those that `Connection` lists (RFC 9110 section 7.6.1), `Expect`
 * (Node has answered it), forwarding headers and names that a CGI-style server cannot tell from
 * them (`X_Forwarded_For`). `Transfer-Encoding` is written as plain `chunked` or not at all, and
 * then without `Content-Length`. A request without `Host` (HTTP/1.0) gets an empty one, which is how
 * HTTP/1.1 says that there is none (RFC 9112 section 3.2).
 */
export function requestLines(rawHeaders: readonly string[], rewrite: RequestRewrite): string {
  const { forwarding, drop, connection } = rewrite;
  const listed = listedByConnection(rawHeaders);
  const transferEncoding = headerValue(rawHeaders, 'transfer-encoding');
  const chunked = transferEncoding?.trim().toLowerCase() === 'chunked';
  let lines = headerCount(rawHeaders, 'host') === 0 ? 'Host: \r\n' : '';
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (isHopByHop(name) || isForwarding(name)) continue;
    if (chunked && isNamed(name, 'content-length')) continue;
    if (listed?.has(name.toLowerCase()) === true) continue;
    if (drop?.has(name.toLowerCase()) === true) continue;
    lines += `${name}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  }
  if (chunked) lines += 'Transfer-Encoding: chunked\r\n';
  for (const [name, value] of forwarding) lines += `${name}: ${value}\r\n`;
  return lines + CONNECTION_LINES[connection];
}

/**
 * The header of an upstream's answer as the client may see it, flat as it came in: hop-by-hop fields
 * and those that `Connection` lists left out, everything else untouched and in order, repeated
 * fields (`Set-Cookie`) included. A `Content-Length` beside a `Transfer-Encoding` is left out too
 * (RFC 9112 section 6.3).
 *
 * @param options - `drop`: more names to leave out, in lower case
 */
export function responseHeaders(
  rawHeaders: readonly string[],
  options: { readonly drop?: ReadonlySet<string> } = {},
): string[] {
  const { drop } = options;
  const listed = listedByConnection(rawHeaders);
  const encoded = headerCount(rawHeaders, 'transfer-encoding') > 0;
  const kept: string[] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    if (isHopByHop(name)) continue;
    if (encoded && isNamed(name, 'content-length')) continue;
    if (listed?.has(name.toLowerCase()) === true) continue;
    if (drop?.has(name.toLowerCase()) === true) continue;
    kept.push(name, rawHeaders[i + 1] ?? '');
  }
  return kept;
}

/** The value of a field, repeated ones joined by `, ` (RFC 9110 section 5.3); undefined if absent. */
export function headerValue(
  rawHeaders: readonly string[],
  lowerCaseName: string,
): string | undefined {
  let value: string | undefined;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    if (!isNamed(rawHeaders[i] ?? '', lowerCaseName)) continue;
    value = value === undefined ? rawHeaders[i + 1] : `${value}, ${rawHeaders[i + 1] ?? ''}`;
  }
  return value;
}

/** How many lines a field has. */
export function headerCount(rawHeaders: readonly string[], lowerCaseName: string): number {
  let count = 0;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (isNamed(rawHeaders[i] ?? '', lowerCaseName)) count += 1;
  }
  return count;
}

/** Whether a request announces a body; `Content-Length: 0`, which some clients always send, is none. */
export function hasBody(rawHeaders: readonly string[]): boolean {
  const length = headerValue(rawHeaders, 'content-length');
  return (
    (length !== undefined && length !== '0') || headerCount(rawHeaders, 'transfer-encoding') > 0
  );
}

/** Whether a comma-separated list names a token, in any case: `keep-alive, Upgrade` has `upgrade`. */
export function listContains(value: string, lowerCaseToken: string): boolean {
  return value.split(',').some((item) => item.trim().toLowerCase() === lowerCaseToken);
}

function isNamed(name: string, lowerCaseName: string): boolean {
  return name.length === lowerCaseName.length && name.toLowerCase() === lowerCaseName;
}

/** Names to leave out because `Connection` lists them; undefined, as almost always, if it lists none. */
function listedByConnection(rawHeaders: readonly string[]): ReadonlySet<string> | undefined {
  const value = headerValue(rawHeaders, 'connection');
  if (value === undefined) return undefined;
  let listed: Set<string> | undefined;
  for (const item of value.toLowerCase().split(',')) {
    const name = item.trim();
    if (name === 'keep-alive' || name === 'close' || name === 'upgrade') continue;
    if (!NEVER_HOP_BY_HOP.has(name)) (listed ??= new Set()).add(name);
  }
  return listed;
}

// The two below run for every field of every message: the length rules most names out for free.

function isHopByHop(name: string): boolean {
  switch (name.length) {
    case 2:
      return isNamed(name, 'te');
    case 6:
      return isNamed(name, 'expect');
    case 7:
      return isNamed(name, 'trailer') || isNamed(name, 'upgrade');
    case 10:
      return isNamed(name, 'connection') || isNamed(name, 'keep-alive');
    case 17:
      return isNamed(name, 'transfer-encoding');
    default:
      return (name[0] === 'p' || name[0] === 'P') && name.toLowerCase().startsWith('proxy-');
  }
}

function isForwarding(name: string): boolean {
  if (name.length < 9) return false;
  const first = name[0];
  if (first !== 'x' && first !== 'X' && first !== 'f' && first !== 'F') return false;
  const spelled = name.toLowerCase().replaceAll('_', '-');
  return spelled.startsWith('x-forwarded-') || spelled === 'x-real-ip' || spelled === 'forwarded';
}
