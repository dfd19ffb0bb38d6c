import { UnstickyError } from '../errors.ts';

/** Largest header block an upstream may send, in bytes. */
export const MAX_HEAD_BYTES: number = 64 * 1024;
/** Longest chunk-size line and largest trailer section, in bytes. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILER_BYTES = 16 * 1024;
/** More interim (1xx) answers than this to one request is an attack or a bug. */
const MAX_INTERIM_ANSWERS = 16;

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/;
const FIELD_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;
const CHUNK_SIZE = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

const CR = 0x0d;
const LF = 0x0a;

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

/** Where a parser delivers an answer; the calls come in this order. */
export interface ResponseHandler {
  onHead(head: ResponseHead): void;
  onBody(chunk: Buffer): void;
  /** The answer is complete. */
  onEnd(): void;
  /** A 101; `rest` is what followed it in the same read. Without this method a 101 is an error. */
  onUpgrade?(head: ResponseHead, rest: Buffer): void;
}

type State =
  | 'idle'
  | 'head'
  | 'length'
  | 'chunk-size'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailer'
  | 'until-close'
  | 'upgraded';

/**
 * Incremental parser of HTTP/1.1 answers from one upstream connection (RFC 9112), stricter than
 * most: an upstream is only semi-trusted, and whatever is ambiguous here could mix two clients'
 * answers. `push` and `end` throw `UPSTREAM_BAD_ANSWER`, `UPSTREAM_RESET` or `UPSTREAM_CUT`; the
 * connection must then be destroyed.
 */
export class ResponseParser {
  readonly #handler: ResponseHandler;
  #state: State = 'idle';
  #method = 'GET';
  #pending: Buffer | undefined;
  #remaining = 0;
  #trailerBytes = 0;
  #interimAnswers = 0;
  #started = false;

  constructor(handler: ResponseHandler) {
    this.#handler = handler;
  }

  /** Whether a byte of the current answer has arrived: from then on nothing may be sent again. */
  get started(): boolean {
    return this.#started;
  }

  /** Whether no answer is being waited for. */
  get idle(): boolean {
    return this.#state === 'idle';
  }

  /** Expects the answer to a request with this method. */
  begin(method: string): void {
    this.#method = method;
    this.#state = 'head';
    this.#started = false;
    this.#interimAnswers = 0;
    this.#pending = undefined;
  }

  /** Takes what the upstream sent. */
  push(chunk: Buffer): void {
    if (this.#state === 'idle') throw bad('bytes that belong to no request');
    this.#started = true;
    let rest: Buffer | undefined = chunk;
    while (rest !== undefined && rest.length > 0) rest = this.#step(rest);
  }

  /** Takes the upstream's FIN: completes a close-delimited answer, else throws. */
  end(): void {
    if (this.#state === 'idle' || this.#state === 'upgraded') return;
    if (this.#state === 'until-close') {
      this.#finish();
      return;
    }
    throw new UnstickyError(this.#started ? 'UPSTREAM_CUT' : 'UPSTREAM_RESET');
  }

  #step(chunk: Buffer): Buffer | undefined {
    switch (this.#state) {
      case 'head':
        return this.#readHead(chunk);
      case 'length':
      case 'chunk-data':
        return this.#readCounted(chunk);
      case 'until-close':
        this.#handler.onBody(chunk);
        return undefined;
      case 'chunk-size':
      case 'chunk-end':
      case 'trailer':
        return this.#readLine(chunk);
      case 'idle':
        throw bad('bytes after the end of the answer');
      case 'upgraded':
        throw bad('parser was used after an upgrade');
    }
  }

  #readHead(chunk: Buffer): Buffer | undefined {
    const block = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk]);
    const searchFrom = this.#pending === undefined ? 0 : Math.max(0, this.#pending.length - 3);
    const end = block.indexOf('\r\n\r\n', searchFrom, 'latin1');
    if (end === -1 ? block.length > MAX_HEAD_BYTES : end > MAX_HEAD_BYTES) {
      throw bad(`header block is larger than ${String(MAX_HEAD_BYTES)} bytes`);
    }
    if (end === -1) {
      this.#pending = block;
      return undefined;
    }
    this.#pending = undefined;
    const head = parseHead(block.toString('latin1', 0, end), this.#method);
    return this.#enter(head, block.subarray(end + 4));
  }

  #enter(head: ResponseHead, rest: Buffer): Buffer | undefined {
    if (head.status === 101) {
      if (this.#handler.onUpgrade === undefined) throw bad('101 to a request that asked for none');
      this.#state = 'upgraded';
      this.#handler.onUpgrade(head, rest);
      return undefined;
    }
    if (head.status < 200) {
      // RFC 9110 section 15.2: interim answers may be dropped by a proxy that did not ask for them.
      this.#interimAnswers += 1;
      if (this.#interimAnswers > MAX_INTERIM_ANSWERS) throw bad('too many interim answers');
      return rest;
    }
    this.#handler.onHead(head);
    switch (head.framing) {
      case 'none':
        this.#finish();
        break;
      case 'length':
        this.#remaining = head.contentLength;
        this.#state = 'length';
        if (this.#remaining === 0) this.#finish();
        break;
      case 'chunked':
        this.#state = 'chunk-size';
        break;
      case 'close':
        this.#state = 'until-close';
        break;
    }
    return rest;
  }

  #readCounted(chunk: Buffer): Buffer | undefined {
    const take = Math.min(chunk.length, this.#remaining);
    this.#remaining -= take;
    this.#handler.onBody(take === chunk.length ? chunk : chunk.subarray(0, take));
    if (this.#remaining > 0) return undefined;
    if (this.#state === 'chunk-data') this.#state = 'chunk-end';
    else this.#finish();
    return chunk.subarray(take);
  }

  #readLine(chunk: Buffer): Buffer | undefined {
    const lf = chunk.indexOf(LF);
    const piece = lf === -1 ? chunk : chunk.subarray(0, lf + 1);
    const line = this.#pending === undefined ? piece : Buffer.concat([this.#pending, piece]);
    if (line.length > MAX_LINE_BYTES) throw bad('line in a chunked body is too long');
    if (lf === -1) {
      this.#pending = line;
      return undefined;
    }
    this.#pending = undefined;
    if (line.length < 2 || line[line.length - 2] !== CR)
      throw bad('bare line feed in a chunked body');
    this.#takeLine(line.toString('latin1', 0, line.length - 2));
    return chunk.subarray(lf + 1);
  }

  #takeLine(line: string): void {
    if (this.#state === 'chunk-end') {
      if (line !== '') throw bad('chunk is longer than its size');
      this.#state = 'chunk-size';
      return;
    }
    if (this.#state === 'trailer') {
      this.#trailerBytes += line.length + 2;
      if (this.#trailerBytes > MAX_TRAILER_BYTES) throw bad('trailer section is too large');
      if (line === '') this.#finish();
      return;
    }
    const size = CHUNK_SIZE.exec(line)?.[1];
    if (size === undefined) throw bad('chunk size is not a number');
    this.#remaining = Number.parseInt(size, 16);
    this.#trailerBytes = 0;
    this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-data';
  }

  #finish(): void {
    this.#state = 'idle';
    this.#handler.onEnd();
  }
}

function bad(detail: string): UnstickyError {
  return new UnstickyError('UPSTREAM_BAD_ANSWER', detail);
}

interface Fields {
  rawHeaders: string[];
  contentLength: number | undefined;
  transferEncoding: string | undefined;
  connection: string;
  keepAliveHintMs: number | undefined;
}

function parseHead(text: string, method: string): ResponseHead {
  const lineEnd = text.indexOf('\r\n');
  const statusLine = lineEnd === -1 ? text : text.slice(0, lineEnd);
  const match = STATUS_LINE.exec(statusLine);
  if (match === null) throw bad('status line is malformed');
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
    if (colon === -1 || colon >= end) throw bad('header line without a colon');
    const name = text.slice(at, colon);
    const value = trimSpace(text, colon + 1, end);
    if (!FIELD_NAME.test(name)) throw bad('header name is not a token');
    if (!FIELD_VALUE.test(value)) throw bad('control character in a header value');
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
      if (fields.transferEncoding !== undefined) throw bad('two Transfer-Encoding headers');
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
  if (!/^\d{1,15}$/.test(value)) throw bad('Content-Length is not a number');
  if (fields.contentLength !== undefined) throw bad('two Content-Length headers');
  fields.contentLength = Number(value);
}

/** RFC 9112 section 6.3, with every ambiguous case refused. */
function framingOf(status: number, method: string, fields: Fields, http11: boolean): BodyFraming {
  const { transferEncoding, contentLength } = fields;
  if (transferEncoding !== undefined) {
    if (contentLength !== undefined) throw bad('both Transfer-Encoding and Content-Length');
    if (transferEncoding !== 'chunked' || !http11)
      throw bad('Transfer-Encoding other than chunked');
  }
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return 'none';
  if (transferEncoding !== undefined) return 'chunked';
  return contentLength === undefined ? 'close' : 'length';
}
