import { connect, type Socket } from 'node:net';
import { withDeadline } from './deadline.ts';

/** A TCP client that sends exactly the bytes it is told to, and remembers what comes back. */
export class RawClient {
  readonly socket: Socket;
  /** Settles when the connection is closed, whoever closed it and how. */
  readonly closed: Promise<void>;
  #received = '';

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (text: string) => (this.#received += text));
    // A reset is one way of being closed.
    this.socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => this.socket.once('close', () => resolve()));
    this.socket.once('end', () => this.socket.end());
  }

  /** Everything received so far, one char per byte. */
  get received(): string {
    return this.#received;
  }

  /** The status codes received so far. A body that looks like a status line would count too. */
  get statuses(): number[] {
    return [...this.#received.matchAll(/HTTP\/1\.[01] (\d{3})/g)].map((match) => Number(match[1]));
  }

  send(text: string): this {
    this.socket.write(text, 'latin1');
    return this;
  }

  /** Waits until something that matches has come. */
  async until(pattern: RegExp, ms = 5000): Promise<string> {
    return this.#until(String(pattern), () => pattern.test(this.#received), ms);
  }

  /** Waits until this many status lines have come. */
  async untilAnswers(count: number, ms = 5000): Promise<string> {
    return this.#until(`${String(count)} answers`, () => this.statuses.length >= count, ms);
  }

  async #until(label: string, isThere: () => boolean, ms: number): Promise<string> {
    const arrived = new Promise<void>((resolve, reject) => {
      const look = (): void => {
        if (!isThere()) return;
        this.socket.off('data', look);
        resolve();
      };
      this.socket.on('data', look);
      void this.closed.then(() =>
        reject(new Error(`closed before ${label} came, after: ${this.#received}`)),
      );
      look();
    });
    await withDeadline(arrived, ms, `received ${label}`);
    return this.#received;
  }

  /** Waits until the other side has closed, and returns all it said. */
  async untilClosed(ms = 5000): Promise<string> {
    await withDeadline(this.closed, ms, 'connection closed');
    return this.#received;
  }

  close(): void {
    this.socket.destroy();
  }
}
