import { createInterface } from 'node:readline';

/** What a library may leave open after it has said goodbye: netty-socketio never answers a held poll. */
const LEFT_OPEN_MS = 300;

/** Answers each line of standard input by one of `actions`, and ends with it. */
export function answerLines(actions) {
  const lines = createInterface(process.stdin);
  lines.on('line', (line) => {
    const { id, do: name, ...order } = JSON.parse(line);
    Promise.resolve(actions[name](order)).then(
      (ok) => write({ id, ok: ok ?? null }),
      (error) => write({ id, error: String(error?.message ?? error) }),
    );
  });
  // What is still on its way out gets its time.
  lines.on('close', () => setTimeout(() => process.exit(), LEFT_OPEN_MS).unref());
}

/** Tells that the connection has ended. */
export function sayClosed() {
  write({ event: 'closed' });
}

function write(answer) {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/** Numbers of a stream in the order of arrival, until there are as many as were asked for. */
export class Arrivals {
  #numbers = [];
  #count = Infinity;
  #done = () => undefined;

  add(number) {
    this.#numbers.push(number);
    if (this.#numbers.length >= this.#count) this.#done(this.#numbers);
  }

  /** Forgets what has arrived and resolves with the next `count`. */
  next(count) {
    this.#numbers = [];
    this.#count = count;
    return new Promise((resolve) => (this.#done = resolve));
  }
}
