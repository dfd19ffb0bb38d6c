import { UnstickyError } from '../errors.ts';

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** How the end of a body is told (RFC 9112 section 6.3). */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'close';

/** Status line and header fields of an answer, checked so that Node writes them without throwing. */
export interface ResponseHead {
  readonly status: number;
  readonly reason: string;
  /** Flat `[name, value, …]`, order and case as received, latin1. */
  readonly rawHeaders: readonly string[];
  readonly framing: BodyFraming;
  /** Bytes of the body; 0 unless framing is `length`. */
  readonly contentLength: number;
  /** Whether the upstream says that the connection may carry another request. */
  readonly keepAlive: boolean;
  /** `timeout` of the Keep-Alive header in milliseconds, if any. */
  readonly keepAliveHintMs: number | undefined;
}

interface Fields {
  rawHeaders: string[];
  contentLength: number | undefined;
  transferEncoding: string | undefined;
  connection: string;
  keepAliveHintMs: number | undefined;
}

/**
 * Reads a status line and header block (latin1, without the empty line) that answers a request with
 * this method. Throws `UPSTREAM_BAD_ANSWER` on whatever is malformed or ambiguous.
 */
export function parseHead(text: string, method: string): ResponseHead {
  const lineEnd = text.indexOf('\r\n');
  const statusLine = lineEnd === -1 ? text : text.slice(0, lineEnd);
  const match = STATUS_LINE.exec(statusLine);
  if (match === null) throw badAnswer('status line is malformed');
  const status = Number(match[2]);
  const fields = parseFields(text, lineEnd === -1 ? text.length : lineEnd + 2);
  const framing = framingOf(status, method, fields, match[1] === '1');
  const persistent = match[1] === '1' ? !fields.connection.includes('close') : false;
  return {
    status,
    reason: match[3] ?? '',
    rawHeaders: fields.rawHeaders,
    framing,
    contentLength: framing === 'length' ? (fields.contentLength ?? 0) : 0,
    keepAlive: persistent && framing !== 'close',
    keepAliveHintMs: fields.keepAliveHintMs,
  };
}

function parseFields(text: string, start: number): Fields {
  const fields: Fields = {
    rawHeaders: [],
    contentLength: undefined,
    transferEncoding: undefined,
    connection: '',
    keepAliveHintMs: undefined,
  };
  for (let at = start; at < text.length;) {
    const eol = text.indexOf('\r\n', at);
    const end = eol === -1 ? text.length : eol;
    const colon = text.indexOf(':', at);
    if (colon === -1 || colon >= end) throw badAnswer('header line without a colon');
    const name = text.slice(at, colon);
    const value = trimSpace(text, colon + 1, end);
    if (!FIELD_NAME.test(name)) throw badAnswer('header name is not a token');
    if (!FIELD_VALUE.test(value)) throw badAnswer('control character in a header value');
    fields.rawHeaders.push(name, value);
    noteField(fields, name, value);
    at = end + 2;
  }
  return fields;
}

/** RFC 9110 section 5.6.3: only space and tab surround a value; String.trim would eat 0xA0 too. */
function trimSpace(text: string, start: number, end: number): string {
  let from = start;
  let to = end;
  while (from < to && isSpace(text.charCodeAt(from))) from += 1;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to -= 1;
  return text.slice(from, to);
}

function isSpace(charCode: number): boolean {
  return charCode === 0x20 || charCode === 0x09;
}

function noteField(fields: Fields, name: string, value: string): void {
  switch (name.length) {
    case 10:
      noteConnectionField(fields, name.toLowerCase(), value);
      break;
    case 14:
      if (name.toLowerCase() === 'content-length') noteContentLength(fields, value);
      break;
    case 17:
      if (name.toLowerCase() !== 'transfer-encoding') break;
      if (fields.transferEncoding !== undefined) throw badAnswer('two Transfer-Encoding headers');
      fields.transferEncoding = value.toLowerCase();
      break;
    default:
      break;
  }
}

function noteConnectionField(fields: Fields, name: string, value: string): void {
  if (name === 'connection') fields.connection += `,${value.toLowerCase()}`;
  if (name !== 'keep-alive') return;
  const seconds = /(?:^|[\s,])timeout=(\d{1,6})/i.exec(value)?.[1];
  if (seconds !== undefined) fields.keepAliveHintMs = Number(seconds) * 1000;
}

function noteContentLength(fields: Fields, value: string): void {
  if (!/^\d{1,15}$/.test(value)) throw badAnswer('Content-Length is not a number');
  if (fields.contentLength !== undefined) throw badAnswer('two Content-Length headers');
  fields.contentLength = Number(value);
}

/** RFC 9112 section 6.3, with every ambiguous case refused. */
function framingOf(status: number, method: string, fields: Fields, http11: boolean): BodyFraming {
  const { transferEncoding, contentLength } = fields;
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) throw badAnswer('both Transfer-Encoding and Content-Length');
    if (transferEncoding !== 'chunked' || !http11) {
      throw badAnswer('Transfer-Encoding other than chunked');
    }
  }
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (transferEncoding !== undefined) return 'chunked';
  return contentLength === undefined ? 'close' : 'length';
}

/** The one way to say that an upstream broke HTTP. */
export function badAnswer(detail: string): UnstickyError {
  return new UnstickyError('UPSTREAM_BAD_ANSWER', detail);
}
