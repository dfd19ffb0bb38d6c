import { createWriteStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';

const MAX_WAITING_BYTES = 4 * 1024 * 1024;
const FLUSH_LIMIT_MS = 1000;

/** What a {@link LogWriter} may be told. */
export interface LogWriterOptions {
  /** Bytes that may wait for a slow target before lines are dropped. Default 4 MiB. */
  readonly maxWaitingBytes?: number;
  /** Called once the target takes lines again, with how many were dropped meanwhile. */
  readonly onDropped?: (lines: number) => void;
}

/**
 * Writes lines to a file descriptor without ever blocking, throwing or growing without bound: when
 * the target is slow, full (`ENOSPC`) or gone (`EPIPE`), lines are dropped and counted.
 *
 * Pipes are written through the event loop and not by a worker thread: a thread that hangs in
 * write(2) on a stalled pipe keeps the process from exiting (measured with Node 20).
 */
export class LogWriter {
  readonly #fd: number;
  readonly #isPipe: boolean;
  readonly #maxWaitingBytes: number;
  readonly #onDropped: ((lines: number) => void) | undefined;
  #stream: Writable | undefined;
  #gone = false;
  #corked = false;
  #dropped = 0;

  constructor(fd: number, options: LogWriterOptions = {}) {
    const kind = fstatSync(fd);
    this.#fd = fd;
    this.#isPipe = kind.isFIFO() || kind.isSocket();
    this.#maxWaitingBytes = options.maxWaitingBytes ?? MAX_WAITING_BYTES;
    this.#onDropped = options.onDropped;
  }

  /** Lines dropped since the last report to `onDropped`. */
  get dropped(): number {
    return this.#dropped;
  }

  /** Queues a line, or drops it when too much is waiting already. */
  write(line: string): void {
    const stream = this.#open();
    if (stream === undefined || stream.writableLength + line.length > this.#maxWaitingBytes) {
      this.#dropped += 1;
      return;
    }
    this.#cork(stream);
    stream.write(line, this.#onWritten);
  }

  /** Resolves when everything queued is written or given up on, after one second at the latest. */
  async flush(): Promise<void> {
    const stream = this.#stream;
    if (stream === undefined || stream.writableLength === 0) return;
    stream.uncork();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, FLUSH_LIMIT_MS);
      stream.write('', () => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** Flushes, and then lets go of the target, so that what it never took holds the process no longer. */
  async close(): Promise<void> {
    await this.flush();
    this.#gone = true;
    this.#stream?.destroy();
    this.#stream = undefined;
  }

  #open(): Writable | undefined {
    if (this.#stream !== undefined || this.#gone) return this.#stream;
    const stream = this.#isPipe
      ? new Socket({ fd: this.#fd, readable: false, writable: true })
      : createWriteStream('', { fd: this.#fd, autoClose: false });
    stream.on('error', () => {
      // A stream that failed takes no more. A full disk may be freed, so a file is tried again;
      // nobody comes back to the other end of a pipe.
      this.#stream = undefined;
      this.#gone = this.#isPipe;
    });
    this.#stream = stream;
    return stream;
  }

  /** One system call for all lines of one turn of the event loop. */
  #cork(stream: Writable): void {
    if (this.#corked) return;
    this.#corked = true;
    stream.cork();
    setImmediate(() => {
      this.#corked = false;
      stream.uncork();
    });
  }

  readonly #onWritten = (error?: Error | null): void => {
    if (error) {
      this.#dropped += 1;
      return;
    }
    if (this.#dropped === 0 || this.#onDropped === undefined) return;
    const lines = this.#dropped;
    this.#dropped = 0;
    this.#onDropped(lines);
  };
}
