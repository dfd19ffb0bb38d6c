import type net from 'node:net';
import { UnstickyError } from '../errors.ts';
import { headerValue, responseHeaders } from '../headers.ts';
import { dial } from './dial.ts';
import type { DialTarget } from './dial.ts';
import { ResponseParser } from './response-parser.ts';
import type { ResponseHandler } from './response-parser.ts';
import { badAnswer } from './response-head.ts';
import type { ResponseHead } from './response-head.ts';
import { addToSample, EMPTY_SAMPLE } from './sample.ts';
import type { UpgradeClient } from './upgrade-client.ts';

/** What an {@link Opening} needs. */
export interface OpeningRequest {
  readonly client: UpgradeClient;
  readonly target: DialTarget;
  /** Request line and header block, the empty line included; latin1. */
  readonly head: string;
  readonly connectTimeoutMs: number;
  /** Time from the connection until the answer is complete. */
  readonly upgradeTimeoutMs: number;
  readonly onConnected: () => void;
  readonly onSettled: (result: OpeningResult) => void;
}

/** The upstream answered something else than 101, and the client has got it. */
export interface RefusedUpgrade {
  readonly kind: 'refused';
  readonly head: ResponseHead;
  /** Body bytes. */
  readonly bytes: number;
  /** The whole body if it is small, else undefined. */
  readonly sample: Buffer | undefined;
}

/** No answer came, or none that is HTTP. Unless `answering`, the client still waits for one. */
export interface FailedUpgrade {
  readonly kind: 'failed';
  readonly error: UnstickyError;
  /** Whether a byte of an answer had come: then no other upstream may be tried. */
  readonly started: boolean;
  /** Whether the client has seen a status line: then its connection has been cut. */
  readonly answering: boolean;
}

/** How an attempt to open a tunnel ended. */
export type OpeningResult =
  | {
      readonly kind: 'upgraded';
      readonly socket: net.Socket;
      readonly head: ResponseHead;
      /** What came in the same read as the 101. */
      readonly rest: Buffer;
    }
  | RefusedUpgrade
  | FailedUpgrade
  | { readonly kind: 'client-gone' };

/**
 * One upgrade request on its way to an upstream, on a connection of its own: it may turn into a
 * tunnel, and an upstream that misread it must not get another client's request after it.
 */
export class Opening implements ResponseHandler {
  readonly #request: OpeningRequest;
  readonly #parser = new ResponseParser(this);
  #socket: net.Socket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #head: ResponseHead | undefined;
  #bytes = 0;
  #sample: Buffer | undefined = EMPTY_SAMPLE;
  #settled = false;

  constructor(request: OpeningRequest) {
    this.#request = request;
  }

  /** Connects and asks; the result comes through `onSettled`, once. */
  start(): void {
    const { client, target, connectTimeoutMs } = this.#request;
    if (client.gone) {
      this.#settle({ kind: 'client-gone' });
      return;
    }
    client.onGone = () => {
      this.#destroy();
      this.#settle({ kind: 'client-gone' });
    };
    this.#socket = dial(target, connectTimeoutMs, (error) => {
      if (error === undefined) this.#ask();
      else this.abort(error);
    });
  }

  /** Gives up: the upstream's side is closed and the result is `failed`. */
  abort(error: UnstickyError): void {
    if (this.#settled) return;
    const { client } = this.#request;
    this.#destroy();
    const answering = client.answering;
    this.#settle({ kind: 'failed', error, started: this.#parser.started, answering });
    // Once the status line is out the only honest end is a cut connection (RFC 9112 section 8).
    if (answering) client.socket.destroy();
  }

  onUpgrade(head: ResponseHead, rest: Buffer): void {
    if (headerValue(head.rawHeaders, 'upgrade')?.toLowerCase() !== 'websocket') {
      throw badAnswer('101 that does not upgrade to websocket');
    }
    if (headerValue(head.rawHeaders, 'sec-websocket-accept') === undefined) {
      throw badAnswer('101 without Sec-WebSocket-Accept');
    }
    const socket = this.#socket;
    if (socket !== undefined) this.#settle({ kind: 'upgraded', socket, head, rest });
  }

  onHead(head: ResponseHead): void {
    this.#head = head;
    const { client } = this.#request;
    client.socket.on('drain', this.#onClientDrain);
    // The body is passed on without its chunks; the end of the connection ends it.
    const headers = [...responseHeaders(head.rawHeaders), 'Connection', 'close'];
    client.beginAnswer(headText(head, headers));
  }

  onBody(chunk: Buffer): void {
    this.#sample = addToSample(this.#sample, chunk);
    this.#bytes += chunk.length;
    if (!this.#request.client.socket.write(chunk)) this.#socket?.pause();
  }

  onEnd(): void {
    const head = this.#head;
    if (this.#settled || head === undefined) return;
    this.#destroy();
    this.#request.client.finishAnswer();
    this.#settle({ kind: 'refused', head, bytes: this.#bytes, sample: this.#sample });
  }

  #ask(): void {
    const { head, upgradeTimeoutMs, onConnected } = this.#request;
    const socket = this.#socket;
    if (this.#settled || socket === undefined) return;
    onConnected();
    this.#timer = setTimeout(() => {
      this.abort(new UnstickyError('UPSTREAM_TIMEOUT'));
    }, upgradeTimeoutMs);
    this.#parser.begin('GET');
    socket.on('data', this.#onData);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onClose);
    socket.write(head, 'latin1');
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#parse(() => {
      this.#parser.push(chunk);
    });
  };

  readonly #onEnd = (): void => {
    this.#parse(() => {
      this.#parser.end();
    });
  };

  readonly #onClose = (): void => {
    this.abort(new UnstickyError(this.#parser.started ? 'UPSTREAM_CUT' : 'UPSTREAM_RESET'));
  };

  readonly #onClientDrain = (): void => {
    this.#socket?.resume();
  };

  #parse(step: () => void): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof UnstickyError)) throw error;
      this.abort(error);
    }
  }

  #destroy(): void {
    this.#socket?.destroy();
  }

  #settle(result: OpeningResult): void {
    if (this.#settled) return;
    this.#settled = true;
    clearTimeout(this.#timer);
    const { client, onSettled } = this.#request;
    client.onGone = () => undefined;
    client.socket.off('drain', this.#onClientDrain);
    this.#socket?.off('data', this.#onData);
    this.#socket?.off('end', this.#onEnd);
    this.#socket?.off('close', this.#onClose);
    onSettled(result);
  }
}

/** Status line and header block, the empty line included; latin1. */
export function headText(head: ResponseHead, rawHeaders: readonly string[]): string {
  let text = `HTTP/1.1 ${String(head.status)} ${head.reason}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    text += `${rawHeaders[i] ?? ''}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  }
  return `${text}\r\n`;
}
