import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { destroyLater } from './plain-answer.ts';

/** Bytes that a client may send before it is answered; what is more stays in the kernel. */
const MAX_EARLY_BYTES = 64 * 1024;

/** What is used of a `net.Socket` or `tls.TLSSocket`. */
export type TunnelSocket = Duplex & Pick<Socket, 'setKeepAlive' | 'setNoDelay'>;

/**
 * The client's side of an upgrade from Node's `upgrade` event until it is answered. Reads all that
 * time, because an unread socket shows neither FIN nor RST: a client that leaves is noticed at once.
 * What it sends meanwhile is kept, up to 64 KiB, for the upstream.
 */
export class UpgradeClient {
  readonly socket: TunnelSocket;
  /** Called once if the client leaves before its answer is complete; its socket is destroyed. */
  onGone: () => void = ignore;
  readonly #early: Buffer[] = [];
  #earlyBytes = 0;
  #state: 'waiting' | 'answering' | 'finished' | 'gone' = 'waiting';

  /**
   * To be made first thing in the `upgrade` event: it brings the socket's error listener.
   *
   * @param socket - as the event brings it
   * @param head - what Node had read beyond the request
   */
  constructor(socket: Duplex, head: Buffer) {
    // Declared more loosely than it is, because an http server may be fed other streams.
    this.socket = socket as TunnelSocket;
    socket.on('error', ignore);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
    socket.on('data', this.#onData);
    if (head.length > 0) this.#onData(head);
  }

  /** True once the client has left. */
  get gone(): boolean {
    return this.#state === 'gone';
  }

  /** True once a status line has been written: from then on there can be no other answer. */
  get answering(): boolean {
    return this.#state !== 'waiting';
  }

  /** Begins an answer that is no 101; body bytes go straight to the socket. */
  beginAnswer(head: string): void {
    this.#state = 'answering';
    this.#early.length = 0;
    this.socket.resume();
    this.socket.write(head, 'latin1');
  }

  /** Ends an answer and the connection; a client that does not close its side is cut off. */
  finishAnswer(): void {
    this.#state = 'finished';
    this.socket.end();
    destroyLater(this.socket);
  }

  /** Answers in one go; `answer` is a whole HTTP response that says `Connection: close`. */
  refuse(answer: string): void {
    if (this.answering) return;
    this.beginAnswer(answer);
    this.finishAnswer();
  }

  /** Hands the socket over, its error listener still on it; returns what the client has sent. */
  release(): Buffer {
    this.onGone = ignore;
    this.socket.off('end', this.#onEnd);
    this.socket.off('close', this.#onEnd);
    this.socket.off('data', this.#onData);
    return Buffer.concat(this.#early.splice(0));
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.answering) return;
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.socket.pause();
  };

  readonly #onEnd = (): void => {
    if (this.#state === 'gone' || this.#state === 'finished') return;
    this.#state = 'gone';
    this.socket.destroy();
    this.onGone();
  };
}

function ignore(): void {
  // An error is followed by `close`, which is what counts.
}
