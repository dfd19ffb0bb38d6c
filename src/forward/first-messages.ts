import type { Writable } from 'node:stream';
import * as ws from 'ws';

/** What is looked at, in bytes: an Engine.IO open packet has about 120, a probe 6. */
const MAX_BYTES = 64 * 1024;

const EXTENSION = 'permessage-deflate';

/** Which end of a WebSocket sent the bytes: a client masks them, a server does not. */
export type Sender = 'client' | 'upstream';

/** Who is told about the first messages of one direction. */
export interface MessageListener {
  /** A whole text message; returns whether the next one matters too. */
  onText(text: string): 'more' | 'enough';
  /** No message will be told any more although more were wanted: the bytes cannot be read. */
  onLost?(): void;
}

type InflateCallback = (error: Error | null, data?: Buffer) => void;

/** What a receiver of `ws` asks of an extension. */
interface ReceiverExtension {
  decompress(data: Buffer, isLast: boolean, callback: InflateCallback): void;
}

/** What `ws` exports beyond its type declarations. */
interface WsParts {
  readonly extension: { parse(header: string): Readonly<Record<string, object[] | undefined>> };
  readonly PerMessageDeflate: new (options: {
    isServer: boolean;
    maxPayload: number;
  }) => ReceiverExtension & { accept(offers: readonly object[]): unknown; cleanup(): void };
  readonly Receiver: new (options: {
    isServer: boolean;
    maxPayload: number;
    extensions: Readonly<Record<string, ReceiverExtension>>;
  }) => Writable;
}

const { extension, PerMessageDeflate, Receiver } = ws as unknown as WsParts;

/**
 * Reads the first text messages of one direction of a WebSocket on the side, compressed or not,
 * from copies of its bytes: the bytes themselves are never held or changed. Stops when its listener
 * has heard enough, when 64 KiB have gone by, or when the bytes make no sense; never throws.
 */
export class FirstMessages {
  #listener: MessageListener | undefined;
  #receiver: Writable | undefined;
  #inflater: Inflater | undefined;
  #bytes = 0;

  /** @param extensions - value of `Sec-WebSocket-Extensions` in the 101, if it has one */
  constructor(sender: Sender, extensions: string | undefined, listener: MessageListener) {
    this.#listener = listener;
    const isServer = sender === 'client';
    try {
      this.#inflater = createInflater(isServer, extensions);
    } catch {
      this.#lose();
      return;
    }
    this.#receiver = new Receiver({
      isServer,
      maxPayload: MAX_BYTES,
      extensions: this.#inflater === undefined ? {} : { [EXTENSION]: this.#inflater },
    });
    this.#receiver.on('error', () => {
      this.#lose();
    });
    this.#receiver.on('message', (message: Buffer, isBinary: boolean) => {
      if (isBinary) return;
      if (this.#listener?.onText(message.toString()) === 'enough') this.close();
    });
  }

  /** Looks at the next bytes; returns false when there is nothing more to look for. */
  push(chunk: Buffer): boolean {
    if (this.#listener === undefined) return false;
    this.#bytes += chunk.length;
    if (this.#bytes > MAX_BYTES) this.#lose();
    // A copy, because the receiver unmasks in place.
    else this.#receiver?.write(Buffer.from(chunk));
    return this.#isListening;
  }

  /** Stops without a word to the listener. */
  close(): void {
    this.#listener = undefined;
    this.#inflater?.close();
    this.#inflater = undefined;
    this.#receiver = undefined;
  }

  get #isListening(): boolean {
    return this.#listener !== undefined;
  }

  #lose(): void {
    const listener = this.#listener;
    this.close();
    listener?.onLost?.();
  }
}

/**
 * The `permessage-deflate` of one direction (RFC 7692). `ws` may throw, outside of any call, when it
 * is cleaned up while it inflates: here that waits for the end of the step, whose result is dropped.
 */
class Inflater implements ReceiverExtension {
  readonly #deflate: InstanceType<WsParts['PerMessageDeflate']>;
  #isBusy = false;
  #isClosed = false;

  /** @throws Error for parameters that are not allowed */
  constructor(isServer: boolean, parameters: readonly object[]) {
    this.#deflate = new PerMessageDeflate({ isServer, maxPayload: MAX_BYTES });
    this.#deflate.accept(parameters);
  }

  decompress(data: Buffer, isLast: boolean, callback: InflateCallback): void {
    this.#isBusy = true;
    this.#deflate.decompress(data, isLast, (error, inflated) => {
      this.#isBusy = false;
      if (this.#isClosed) this.#deflate.cleanup();
      else callback(error, inflated);
    });
  }

  close(): void {
    this.#isClosed = true;
    if (!this.#isBusy) this.#deflate.cleanup();
  }
}

function createInflater(isServer: boolean, extensions: string | undefined): Inflater | undefined {
  if (extensions === undefined) return undefined;
  const parameters = extension.parse(extensions)[EXTENSION];
  return parameters === undefined ? undefined : new Inflater(isServer, parameters);
}
