import type { IncomingMessage } from 'node:http';
import type { ErrorCode } from './errors.ts';
import { hasBody, headerCount, headerValue, listContains } from './headers.ts';

/*
 * What no proxy should let through. Everything is judged on `rawHeaders`: `req.headers` joins, drops
 * and overwrites repeated fields, and what it hides an upstream may still obey.
 */

/** What a request may carry. */
export interface RequestLimits {
  /** Most header lines. */
  readonly headerLines: number;
  /** Largest `Content-Length` in bytes; the length of a chunked body shows only as it arrives. */
  readonly bodyBytes: number;
  /**
   * Which methods may have a body. `post-only` is what Engine.IO needs; web applications also get
   * bodies of everything but GET, HEAD and OPTIONS.
   */
  readonly bodies: 'post-only' | 'any-but-get';
}

type RequestHead = Pick<IncomingMessage, 'httpVersion' | 'method' | 'rawHeaders' | 'url'>;

/**
 * Why this request must not be forwarded, or undefined if it may be: HTTP 1.0 or 1.1, not too many
 * header lines, no TRACE or CONNECT, an unambiguous path as target, one valid `Host` (RFC 9112
 * section 3.2) and unambiguous framing (section 6) with a body only where one belongs.
 */
export function inspectRequest(req: RequestHead, limits: RequestLimits): ErrorCode | undefined {
  return inspectHead(req, limits.headerLines) ?? inspectFraming(req, limits);
}

/**
 * Why this upgrade must not be forwarded, or undefined if it may be: what {@link inspectRequest}
 * asks, and a complete WebSocket handshake (RFC 6455 section 4.2.1). A body is refused because the
 * upstream's parser and ours could disagree where it ends and the WebSocket begins.
 */
export function inspectUpgrade(
  req: RequestHead,
  limits: Pick<RequestLimits, 'headerLines'>,
): ErrorCode | undefined {
  const refused = inspectHead(req, limits.headerLines);
  if (refused !== undefined) return refused;
  if (hasBody(req.rawHeaders)) return 'BAD_FRAMING';
  return isWebSocketHandshake(req) ? undefined : 'BAD_UPGRADE';
}

function inspectHead(req: RequestHead, headerLines: number): ErrorCode | undefined {
  const { httpVersion, method, rawHeaders, url } = req;
  if (httpVersion !== '1.1' && httpVersion !== '1.0') return 'HTTP_VERSION';
  if (rawHeaders.length > 2 * headerLines) return 'HEADERS_TOO_LARGE';
  if (method === 'TRACE' || method === 'CONNECT') return 'METHOD_NOT_ALLOWED';
  if (url === undefined || !isUnambiguousTarget(url)) return 'BAD_TARGET';
  return hasValidHost(req) ? undefined : 'BAD_HOST';
}

/** One slash and then printable ASCII, but no backslash (read as slash) and no `#` (cut off). */
const PLAIN_TARGET = /^\/(?!\/)[!"$-[\]-~]*$/;

/** `.` or `..` between real, encoded or back slashes, also before a path parameter (`/..;/`). */
const DOT_SEGMENT = /(?:\/|%2f|%5c)(?:\.|%2e){1,2}(?:\/|%2f|%5c|;|$)/i;

/** Encoded NUL, or a percent sign that encodes nothing: servers disagree about what follows. */
const BAD_ENCODING = /%(?:00|(?![0-9a-f]{2}))/i;

/**
 * A path that every server behind us reads alike. Dot segments matter because routes are matched by
 * prefix: `/public/../admin` must not pass as `/public/`.
 */
function isUnambiguousTarget(url: string): boolean {
  if (!PLAIN_TARGET.test(url)) return false;
  const query = url.indexOf('?');
  const path = query === -1 ? url : url.slice(0, query);
  return !DOT_SEGMENT.test(path) && !BAD_ENCODING.test(path);
}

/** A name or IPv4 address, or a bracketed IPv6 address, and perhaps a port. */
const HOST = /^(?:[\w.~%-]+|\[[\da-f:.]+\])(?::\d{0,5})?$/i;

/** HTTP/1.0 may do without: that is how load balancers ask whether we live. */
function hasValidHost({ rawHeaders, httpVersion }: RequestHead): boolean {
  const host = headerValue(rawHeaders, 'host');
  if (host === undefined) return httpVersion === '1.0';
  return headerCount(rawHeaders, 'host') === 1 && HOST.test(host) && !host.includes('..');
}

function inspectFraming(req: RequestHead, limits: RequestLimits): ErrorCode | undefined {
  const { httpVersion, rawHeaders } = req;
  const length = headerValue(rawHeaders, 'content-length');
  const encoding = headerValue(rawHeaders, 'transfer-encoding');
  if (encoding !== undefined) {
    if (length !== undefined || httpVersion !== '1.1') return 'BAD_FRAMING';
    if (encoding.toLowerCase() !== 'chunked') return 'BAD_FRAMING';
  }
  if (length !== undefined && !/^\d+$/.test(length)) return 'BAD_FRAMING';
  if (hasBody(rawHeaders) && !mayHaveBody(req.method, limits.bodies)) return 'BAD_FRAMING';
  return Number(length ?? 0) > limits.bodyBytes ? 'BODY_TOO_LARGE' : undefined;
}

function mayHaveBody(method: string | undefined, bodies: RequestLimits['bodies']): boolean {
  if (bodies === 'post-only') return method === 'POST';
  return method !== 'GET' && method !== 'HEAD' && method !== 'OPTIONS';
}

/** 16 bytes in base64: 22 digits, padded. */
const WEBSOCKET_KEY = /^[+/\da-z]{22}==$/i;

function isWebSocketHandshake({ method, httpVersion, rawHeaders }: RequestHead): boolean {
  return (
    method === 'GET' &&
    httpVersion === '1.1' &&
    listContains(headerValue(rawHeaders, 'upgrade') ?? '', 'websocket') &&
    listContains(headerValue(rawHeaders, 'connection') ?? '', 'upgrade') &&
    WEBSOCKET_KEY.test(headerValue(rawHeaders, 'sec-websocket-key') ?? '') &&
    headerValue(rawHeaders, 'sec-websocket-version') === '13'
  );
}
