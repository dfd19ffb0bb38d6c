import { STATUS_CODES } from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { ErrorCode } from '../errors.ts';
import { headerCount, headerValue, requestLines, responseHeaders } from '../headers.ts';
import type { RequestRewrite } from '../headers.ts';

/**
 * Above this many header lines Node's client drops the rest, although its parser has obeyed them:
 * what is left may say something else about the body than what was read.
 */
const MAX_ANSWER_LINES = 1000;
/** What may stand in a reason phrase (RFC 9112 section 4). */
const REASON = /^[\t\x20-\x7e\x80-\xff]*$/;
/** For these Node adds no framing of its own to a request that has none. */
const USUALLY_BODILESS: ReadonlySet<string> = new Set([
  'GET',
  'HEAD',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'CONNECT',
]);

const NOTHING: ReadonlySet<string> = new Set();
/** A 101 or 204 has no body, and no client shall wait for one (RFC 9110 section 8.6). */
const LENGTH: ReadonlySet<string> = new Set(['content-length']);

/** An answer as the client may see it. */
export interface CleanAnswer {
  readonly status: number;
  readonly reason: string;
  /** Flat: name, value, name, value … */
  readonly headers: string[];
}

/** What forbids to forward a request; the guard in front has refused it already, if there is one. */
export function requestFlaw(req: IncomingMessage): ErrorCode | undefined {
  if (req.url?.startsWith('/') !== true) return 'BAD_TARGET';
  const encoding = headerValue(req.rawHeaders, 'transfer-encoding');
  // Any other coding would leave the app's request without a framing that both sides agree on.
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'chunked') return 'BAD_FRAMING';
  return undefined;
}

/** The same for an upgrade, which must be a WebSocket's and have no body. */
export function upgradeFlaw(req: IncomingMessage): ErrorCode | undefined {
  const flaw = requestFlaw(req);
  if (flaw !== undefined) return flaw;
  const upgradesToWebSocket = req.headers.upgrade?.toLowerCase() === 'websocket';
  return req.method === 'GET' && upgradesToWebSocket && isBodiless(req) ? undefined : 'BAD_UPGRADE';
}

/** Whether a request may be sent again: it asks for something and has no body. */
export function isRepeatable(req: IncomingMessage): boolean {
  return (req.method === 'GET' || req.method === 'HEAD') && isBodiless(req);
}

/** Whether a request announces no body. */
function isBodiless(req: IncomingMessage): boolean {
  const { 'content-length': length = '0', 'transfer-encoding': encoding } = req.headers;
  return encoding === undefined && Number(length) === 0;
}

/** Header of the request to the app, flat, in the client's order and spelling. */
export function appRequestHeaders(req: IncomingMessage, rewrite: RequestRewrite): string[] {
  const headers = requestLines(req.rawHeaders, rewrite)
    .split('\r\n')
    .filter((line) => line !== '')
    .flatMap((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 2)];
    });
  const framed = headerCount(headers, 'content-length') + headerCount(headers, 'transfer-encoding');
  if (framed === 0 && !USUALLY_BODILESS.has(req.method ?? '')) headers.push('Content-Length', '0');
  return headers;
}

/**
 * An app's answer made fit for the client, or why it cannot be.
 *
 * @param expected - `upgraded`: a 101 that an upgrade asked for
 */
export function cleanAnswer(
  answer: IncomingMessage,
  expected: 'final' | 'upgraded' = 'final',
): CleanAnswer | Error {
  const { rawHeaders, statusCode: status = 0, statusMessage = '' } = answer;
  if (status < 200 && expected === 'final') {
    return new Error(`status ${String(status)} is no final one`);
  }
  if (rawHeaders.length >= 2 * MAX_ANSWER_LINES) return new Error('too many header lines');
  const encoding = headerValue(rawHeaders, 'transfer-encoding') ?? 'identity';
  if (!/^\s*(?:chunked|identity)\s*$/i.test(encoding)) {
    return new Error('transfer coding other than chunked');
  }
  const reason = REASON.test(statusMessage) ? statusMessage : (STATUS_CODES[status] ?? '');
  const drop = status < 200 || status === 204 ? LENGTH : NOTHING;
  return { status, reason, headers: responseHeaders(rawHeaders, { drop }) };
}

/**
 * Tells when the connection of a request stands (TLS included), at once for a pooled one, or that it
 * does not after `timeoutMs`. Needs the request's socket.
 */
export function watchConnect(
  request: ClientRequest,
  timeoutMs: number,
  on: { connected: () => void; timeout: () => void },
): void {
  const { socket } = request;
  if (socket === null) return;
  if (request.reusedSocket) {
    on.connected();
    return;
  }
  const timer = setTimeout(on.timeout, timeoutMs);
  const secure = (socket as Partial<TLSSocket>).encrypted === true;
  socket.once(secure ? 'secureConnect' : 'connect', () => {
    clearTimeout(timer);
    on.connected();
  });
  socket.once('close', () => {
    clearTimeout(timer);
  });
}
