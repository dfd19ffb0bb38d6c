import { UnstickyError } from '../errors.ts';
import { badAnswer, parseHead } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';

/** Largest header block an upstream may send, in bytes. */
const MAX_HEAD_BYTES = 64 * 1024;
/** Longest chunk-size line and largest trailer section, in bytes. */
const MAX_LINE_BYTES = 4096;
const MAX_TRAILER_BYTES = 16 * 1024;
/** More interim (1xx) answers than this to one request is an attack or a bug. */
const MAX_INTERIM_ANSWERS = 16;

const CHUNK_SIZE = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;

const CR = 0x0d;
const LF = 0x0a;

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
    if (this.#state === 'idle') throw badAnswer('bytes that belong to no request');
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
        throw badAnswer('bytes after the end of the answer');
      case 'upgraded':
        throw badAnswer('parser was used after an upgrade');
    }
  }

  #readHead(chunk: Buffer): Buffer | undefined {
    const block = this.#pending === undefined ? chunk : Buffer.concat([this.#pending, chunk]);
    const searchFrom = this.#pending === undefined ? 0 : Math.max(0, this.#pending.length - 3);
    const end = block.indexOf('\r\n\r\n', searchFrom, 'latin1');
    if (end === -1 ? block.length > MAX_HEAD_BYTES : end > MAX_HEAD_BYTES) {
      throw badAnswer(`header block is larger than ${String(MAX_HEAD_BYTES)} bytes`);
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
      if (this.#handler.onUpgrade === undefined) {
        throw badAnswer('101 to a request that asked for none');
      }
      this.#state = 'upgraded';
      this.#handler.onUpgrade(head, rest);
      return undefined;
    }
    if (head.status < 200) {
      // RFC 9110 section 15.2: interim answers may be dropped by a proxy that did not ask for them.
      this.#interimAnswers += 1;
      if (this.#interimAnswers > MAX_INTERIM_ANSWERS) throw badAnswer('too many interim answers');
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
    if (line.length > MAX_LINE_BYTES) throw badAnswer('line in a chunked body is too long');
    if (lf === -1) {
      this.#pending = line;
      return undefined;
    }
    this.#pending = undefined;
    if (line.length < 2 || line[line.length - 2] !== CR) {
      throw badAnswer('bare line feed in a chunked body');
    }
    this.#takeLine(line.toString('latin1', 0, line.length - 2));
    return chunk.subarray(lf + 1);
  }

  #takeLine(line: string): void {
    if (this.#state === 'chunk-end') {
      if (line !== '') throw badAnswer('chunk is longer than its size');
      this.#state = 'chunk-size';
      return;
    }
    if (this.#state === 'trailer') {
      this.#trailerBytes += line.length + 2;
      if (this.#trailerBytes > MAX_TRAILER_BYTES) throw badAnswer('trailer section is too large');
      if (line === '') this.#finish();
      return;
    }
    const size = CHUNK_SIZE.exec(line)?.[1];
    if (size === undefined) throw badAnswer('chunk size is not a number');
    this.#remaining = Number.parseInt(size, 16);
    this.#trailerBytes = 0;
    this.#state = this.#remaining === 0 ? 'trailer' : 'chunk-data';
  }

  #finish(): void {
    this.#state = 'idle';
    this.#handler.onEnd();
  }
}
