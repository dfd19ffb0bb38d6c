import { connect, type Socket } from 'node:net';
import { withDeadline } from './deadline.ts';

/** A TCP client that sends exactly the bytes it is told to, and remembers what comes back. */
export class RawClient {
  readonly socket: Socket;
  /** Settles when the connection is closed, whoever closed it and how. */
  readonly closed: Promise<void>;
  #received = '';

  /** @param address - a port of this machine, or the path of a Unix socket */
  constructor(address: number | string) {
    const where =
      typeof address === 'string' ? { path: address } : { port: address, host: '127.0.0.1' };
    this.socket = connect({ ...where, allowHalfOpen: true });
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

  /** Waits for this many answers that are not interim (1xx), or for the end of the connection. */
  async untilSettled(answers: number, ms = 5000): Promise<readonly number[]> {
    const final = (): number[] => this.statuses.filter((status) => status >= 200);
    const answered = new Promise<void>((resolve) =>
      this.socket.on('data', () => {
        if (final().length >= answers) resolve();
      }),
    );
    const label = `${String(answers)} answers or the end of the connection`;
    await withDeadline(Promise.race([answered, this.closed]), ms, label);
    return final();
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
