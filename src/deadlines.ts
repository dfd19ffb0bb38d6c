/** How often expired deadlines are looked for, in milliseconds; also their error. */
const SWEEP_INTERVAL_MS = 100;

/** Something that must not wait for ever. */
export interface Expiring {
  /** When it expires, by the clock of its {@link Deadlines}. */
  expiresAtMs: number;
  onExpired(): void;
}

/**
 * All deadlines of a router behind one timer: a long poll costs a set entry, not a timer of its
 * own. Deadlines are kept to within {@link SWEEP_INTERVAL_MS}.
 */
export class Deadlines {
  readonly #now: () => number;
  readonly #waiting = new Set<Expiring>();
  #timer: NodeJS.Timeout | undefined;

  /** @param now - monotonic clock in milliseconds */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Number of deadlines that run. */
  get size(): number {
    return this.#waiting.size;
  }

  /** Starts or moves a deadline. */
  start(entry: Expiring, ms: number): void {
    entry.expiresAtMs = this.#now() + ms;
    this.#waiting.add(entry);
    this.#timer ??= setInterval(() => {
      this.#sweep();
    }, SWEEP_INTERVAL_MS).unref();
  }

  stop(entry: Expiring): void {
    this.#waiting.delete(entry);
    if (this.#waiting.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #sweep(): void {
    const now = this.#now();
    for (const entry of this.#waiting) {
      if (entry.expiresAtMs > now) continue;
      this.stop(entry);
      entry.onExpired();
    }
  }
}
