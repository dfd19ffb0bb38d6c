import type { Socket } from 'node:net';
import { UnstickyError } from '../errors.ts';
import { dial } from './dial.ts';
import type { DialTarget } from './dial.ts';
import { ResponseParser } from './response-parser.ts';
import type { ResponseHead } from './response-head.ts';
import type { ResponseHandler } from './response-parser.ts';

/** One request's side of a connection: what it hears. After `onEnd` or `onFailure` it hears nothing. */
export interface Exchange extends ResponseHandler {
  /** The connection takes more of the request's body. */
  onDrain(): void;
  onFailure(error: UnstickyError): void;
}

/** What a connection tells the pool that opened it. */
export interface ConnectionOwner {
  onConnected(): void;
  /** The exchange is over and the connection could carry another. */
  onIdle(connection: UpstreamConnection): void;
  onClosed(connection: UpstreamConnection): void;
}

/** A client connection to an upstream that carries one exchange at a time. */
export class UpstreamConnection implements ResponseHandler {
  /** Whether this connection has carried an exchange before the current one. */
  reused = false;
  /** When it became idle, by the pool's clock. */
  idleSinceMs = 0;
  /** How long the upstream says it keeps an idle connection, if it says so. */
  keepAliveHintMs: number | undefined;

  readonly #socket: Socket;
  readonly #owner: ConnectionOwner;
  readonly #parser = new ResponseParser(this);
  #exchange: Exchange | undefined;
  #persistent = false;
  #requestComplete = false;

  constructor(target: DialTarget, connectTimeoutMs: number, owner: ConnectionOwner) {
    this.#owner = owner;
    this.#socket = dial(target, connectTimeoutMs, (error) => {
      if (error === undefined) owner.onConnected();
      else this.#fail(error);
    });
    this.#socket.on('data', (chunk) => {
      this.#onData(chunk);
    });
    this.#socket.on('end', () => {
      this.#onFin();
    });
    this.#socket.on('drain', () => {
      this.#exchange?.onDrain();
    });
    this.#socket.on('close', () => {
      this.#fail(new UnstickyError(this.#parser.started ? 'UPSTREAM_CUT' : 'UPSTREAM_RESET'));
      owner.onClosed(this);
    });
  }

  /** Whether a byte of the current answer has arrived. */
  get started(): boolean {
    return this.#parser.started;
  }

  get usable(): boolean {
    return !this.#socket.destroyed && this.#socket.writable && !this.#socket.readableEnded;
  }

  /**
   * Sends a request head and expects its answer. A body follows through {@link write} and
   * {@link endRequest}; without one, pass `complete: true`.
   */
  begin(method: string, head: string, exchange: Exchange, complete: boolean): void {
    this.#exchange = exchange;
    this.#requestComplete = complete;
    this.#parser.begin(method);
    if (!complete) this.#joinHeadAndBody();
    this.#socket.write(head, 'latin1');
  }

  /** Sends a piece of the body; false asks to wait for `onDrain`. */
  write(chunk: Buffer | string): boolean {
    return this.#socket.write(chunk);
  }

  endRequest(): void {
    this.#requestComplete = true;
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Ends the connection now; the exchange hears nothing more. */
  destroy(): void {
    this.#exchange = undefined;
    this.#socket.destroy();
  }

  /** Ends an idle connection in order: FIN first, so that the upstream sees no reset. */
  end(): void {
    this.#socket.end();
    this.#socket.setTimeout(1000, () => {
      this.#socket.destroy();
    });
  }

  onHead(head: ResponseHead): void {
    this.#persistent = head.keepAlive;
    this.keepAliveHintMs = head.keepAliveHintMs;
    this.#exchange?.onHead(head);
  }

  onBody(chunk: Buffer): void {
    this.#exchange?.onBody(chunk);
  }

  /** The answer is complete; whether the connection lives on is decided when its read is consumed. */
  onEnd(): void {
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.onEnd();
  }

  /** A small body follows its head within the same tick: one packet, one system call. */
  #joinHeadAndBody(): void {
    this.#socket.cork();
    queueMicrotask(() => {
      this.#socket.uncork();
    });
  }

  #onData(chunk: Buffer): void {
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#fail(asAnswerError(error));
      return;
    }
    if (!this.#parser.idle || this.#socket.destroyed) return;
    // A client that read slowly may have paused it; idle, it must be read to see the upstream's FIN.
    this.#socket.resume();
    if (this.#persistent && this.#requestComplete) this.#owner.onIdle(this);
    else this.end();
  }

  #onFin(): void {
    try {
      this.#parser.end();
    } catch (error) {
      this.#fail(asAnswerError(error));
    }
    this.#socket.destroy();
  }

  #fail(error: UnstickyError): void {
    const exchange = this.#exchange;
    this.destroy();
    exchange?.onFailure(error);
  }
}

function asAnswerError(error: unknown): UnstickyError {
  // Anything else was thrown by an exchange: a bug, which must not be taken for a bad upstream.
  if (error instanceof UnstickyError) return error;
  throw error;
}
