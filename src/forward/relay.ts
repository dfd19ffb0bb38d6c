import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Deadlines, Expiring } from '../deadlines.ts';
import { UnstickyError } from '../errors.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { writeAnswerHead } from './answer.ts';
import type { HeldAnswer } from './answer.ts';
import { endAnswer } from './last-bytes.ts';
import type { Exchange, UpstreamConnection } from './connection.ts';
import type { ConnectionPool } from './connection-pool.ts';
import type { ResponseHead } from './response-head.ts';
import { addToSample, EMPTY_SAMPLE } from './sample.ts';

/** A handshake answer above this size is passed on as it comes: it is no open packet. */
export const MAX_HELD_BYTES: number = 64 * 1024;

/** How the request's body reaches the upstream. */
export type RequestBody = 'none' | 'length' | 'chunked';

/** A request that has been decided on: where it goes and what it may cost. */
export interface RelayRequest {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  readonly upstream: Upstream;
  /** Request line and header block for this kind of connection, the empty line included. */
  readonly head: (connection: 'keep-alive' | 'close') => string;
  readonly body: RequestBody;
  /** Largest body in bytes; above it the client gets 413. */
  readonly bodyLimitBytes: number;
  /** Time until the answer begins, and between two pieces of it, in milliseconds. */
  readonly answerMs: number;
  /**
   * `hold`: an answer of at most {@link MAX_HELD_BYTES} is handed over instead of written.
   * `stream`: the answer is written to the client as it comes.
   */
  readonly mode: 'hold' | 'stream';
  /** Called once, when nothing more will be written. */
  readonly onDone: (outcome: RelayOutcome) => void;
}

/** How a relayed request ended. */
export type RelayOutcome =
  | { readonly kind: 'held'; readonly answer: HeldAnswer }
  | {
      readonly kind: 'answered';
      readonly head: ResponseHead;
      readonly bytes: number;
      /** The request's and the answer's whole body if each was small, else undefined. */
      readonly requestSample: Buffer | undefined;
      readonly answerSample: Buffer | undefined;
    }
  | {
      readonly kind: 'failed';
      readonly error: UnstickyError;
      /** Whether a byte of an answer had come: then nothing may be sent again. */
      readonly started: boolean;
      /** Whether the client has seen a status line: then its connection has been cut. */
      readonly answering: boolean;
    }
  | { readonly kind: 'client-gone' };

/** One request on its way to an upstream and back. */
export class Relay implements Exchange, Expiring {
  expiresAtMs = 0;
  readonly #request: RelayRequest;
  readonly #pool: ConnectionPool;
  readonly #deadlines: Deadlines;
  #connection: UpstreamConnection | undefined;
  #head: ResponseHead | undefined;
  #held: Buffer[] | undefined;
  #bytes = 0;
  #requestBytes = 0;
  #sample: Buffer | undefined = EMPTY_SAMPLE;
  #requestSample: Buffer | undefined = EMPTY_SAMPLE;
  #over = false;

  constructor(request: RelayRequest, pool: ConnectionPool, deadlines: Deadlines) {
    this.#request = request;
    this.#pool = pool;
    this.#deadlines = deadlines;
    this.#held = request.mode === 'hold' ? [] : undefined;
  }

  /** Sends the request. */
  start(): void {
    const { req, res, body } = this.#request;
    // It may have left while its owner was being looked up, and says so only once.
    if (res.destroyed) {
      this.#onClientClose();
      return;
    }
    res.on('close', this.#onClientClose);
    this.#send(this.#repeatable ? 'repeatable' : 'once');
    if (body === 'none') return;
    req.on('data', this.#onRequestData);
    req.on('end', this.#onRequestEnd);
  }

  /** Ends the request from within: the upstream's side is closed, the outcome is `failed`. */
  abort(error: UnstickyError): void {
    if (this.#over) return;
    this.#connection?.destroy();
    this.onFailure(error);
  }

  onExpired(): void {
    this.abort(new UnstickyError('UPSTREAM_TIMEOUT'));
  }

  onHead(head: ResponseHead): void {
    this.#head = head;
    this.#deadlines.start(this, this.#request.answerMs);
    if (head.framing === 'length' && head.contentLength > MAX_HELD_BYTES) this.#held = undefined;
    if (this.#held === undefined) this.#writeHead(head);
  }

  onBody(chunk: Buffer): void {
    this.#deadlines.start(this, this.#request.answerMs);
    this.#sample = addToSample(this.#sample, chunk);
    this.#bytes += chunk.length;
    if (this.#held === undefined) {
      this.#write(chunk);
      return;
    }
    this.#held.push(chunk);
    if (this.#bytes > MAX_HELD_BYTES) this.#stopHolding();
  }

  onEnd(): void {
    const head = this.#head;
    if (this.#over || head === undefined) return;
    this.#finish();
    const { req, res, body, onDone } = this.#request;
    if (this.#held !== undefined) {
      onDone({ kind: 'held', answer: { head, body: Buffer.concat(this.#held) } });
      return;
    }
    if (body === 'none') res.end();
    else endAnswer(req, res, { framing: head.framing === 'length' ? 'length' : 'other' });
    if (res.writableLength > 0) this.#watchStall(res);
    onDone({
      kind: 'answered',
      head,
      bytes: this.#bytes,
      requestSample: this.#requestSample,
      answerSample: this.#sample,
    });
  }

  onFailure(error: UnstickyError): void {
    if (this.#over) return;
    if (this.#diedOnReuse(error)) {
      this.#pool.reuseFailed();
      if (this.#repeatable) {
        this.#send('fresh');
        return;
      }
    }
    const started = this.#head !== undefined || this.#connection?.started === true;
    this.#finish();
    const { res, onDone } = this.#request;
    const answering = res.headersSent;
    // Once the status line is out the only honest end is a cut connection (RFC 9112 section 8).
    if (answering) res.destroy();
    onDone({ kind: 'failed', error, started, answering });
  }

  onDrain(): void {
    this.#request.req.resume();
  }

  /** A used connection that its upstream closed without a byte of answer. */
  #diedOnReuse(error: UnstickyError): boolean {
    const connection = this.#connection;
    if (error.code !== 'UPSTREAM_RESET' || connection === undefined) return false;
    return connection.reused && !connection.started;
  }

  /**
   * Such a connection most likely closed before the request arrived. A poll is asked again on a new
   * connection to the same upstream: if it had been processed all the same, its answer is lost with
   * or without the second try. A request with a body could be a message sent twice, and never is.
   */
  get #repeatable(): boolean {
    const { req, body } = this.#request;
    return body === 'none' && (req.method === 'GET' || req.method === 'HEAD');
  }

  #send(purpose: 'fresh' | 'once' | 'repeatable'): void {
    const { req, head, body, answerMs } = this.#request;
    const connection = this.#pool.acquire(purpose);
    this.#connection = connection;
    this.#deadlines.start(this, answerMs);
    connection.begin(req.method ?? 'GET', head(this.#pool.connectionHeader), this, body === 'none');
  }

  #finish(): void {
    this.#over = true;
    this.#deadlines.stop(this);
    const { req, res, body } = this.#request;
    res.off('close', this.#onClientClose);
    res.off('drain', this.#onClientDrain);
    if (body === 'none') return;
    req.off('data', this.#onRequestData);
    req.off('end', this.#onRequestEnd);
  }

  readonly #onClientClose = (): void => {
    if (this.#over) return;
    this.#finish();
    this.#connection?.destroy();
    this.#request.onDone({ kind: 'client-gone' });
  };

  readonly #onRequestData = (chunk: Buffer): void => {
    this.#requestBytes += chunk.length;
    const { req, body, bodyLimitBytes } = this.#request;
    if (this.#requestBytes > bodyLimitBytes) {
      req.pause();
      this.abort(new UnstickyError('BODY_TOO_LARGE'));
      return;
    }
    this.#requestSample = addToSample(this.#requestSample, chunk);
    if (body === 'chunked') this.#connection?.write(`${chunk.length.toString(16)}\r\n`);
    const more = this.#connection?.write(chunk) ?? true;
    if (body === 'chunked') this.#connection?.write('\r\n');
    if (!more) req.pause();
  };

  readonly #onRequestEnd = (): void => {
    if (this.#request.body === 'chunked') this.#connection?.write('0\r\n\r\n');
    this.#connection?.endRequest();
  };

  readonly #onClientDrain = (): void => {
    this.#deadlines.start(this, this.#request.answerMs);
    this.#connection?.resume();
  };

  #writeHead(head: ResponseHead): void {
    this.#request.res.on('drain', this.#onClientDrain);
    writeAnswerHead(this.#request.res, head);
  }

  #write(chunk: Buffer): void {
    if (this.#request.res.write(chunk)) return;
    this.#connection?.pause();
  }

  /** A client that never reads the rest of its answer must not hold it for ever. */
  #watchStall(res: ServerResponse): void {
    const watch: Expiring = {
      expiresAtMs: 0,
      onExpired: () => {
        res.destroy();
      },
    };
    this.#deadlines.start(watch, this.#request.answerMs);
    res.once('close', () => {
      this.#deadlines.stop(watch);
    });
  }

  #stopHolding(): void {
    const chunks = this.#held ?? [];
    this.#held = undefined;
    if (this.#head !== undefined) this.#writeHead(this.#head);
    for (const chunk of chunks) this.#write(chunk);
  }
}
