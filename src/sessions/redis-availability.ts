/** Consecutive timeouts after which commands fail at once. */
const BREAKER_TIMEOUTS = 3;
/** Time for which they do, until one command may try again. */
const BREAKER_OPEN_MS = 500;

/** Whether a command changes anything. */
export type CommandKind = 'read' | 'write';

/** What an {@link Availability} is made of. */
export interface AvailabilityOptions {
  readonly onChange: (available: boolean, reason: string | undefined) => void;
  /** False where one slow server must not cut off the others. */
  readonly breaker: boolean;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
}

/**
 * Judges from connections and command outcomes whether the store can be used, tells transitions,
 * and is the circuit breaker: a frozen server costs a few commands their timeout, not every one.
 */
export class Availability {
  readonly #options: AvailabilityOptions;
  #available: boolean | undefined;
  /** A server that refuses writes still answers reads: those do not make it available. */
  #refusesWrites = false;
  #timeouts = 0;
  #openUntil = -Infinity;

  constructor(options: AvailabilityOptions) {
    this.#options = options;
  }

  get available(): boolean {
    return this.#available === true;
  }

  /** False while a command would only wait for its timeout. */
  admits(): boolean {
    const { breaker, now } = this.#options;
    if (!breaker || this.#timeouts < BREAKER_TIMEOUTS) return true;
    if (now() < this.#openUntil) return false;
    this.#openUntil = now() + BREAKER_OPEN_MS;
    return true;
  }

  connected(): void {
    this.#timeouts = 0;
    this.#refusesWrites = false;
    this.#set(true, undefined);
  }

  disconnected(reason: string): void {
    this.#set(false, reason);
  }

  succeeded(kind: CommandKind): void {
    this.#timeouts = 0;
    if (kind === 'write') this.#refusesWrites = false;
    if (!this.#refusesWrites) this.#set(true, undefined);
  }

  /** The server did not answer a command in time. */
  timedOut(): void {
    this.#timeouts += 1;
    if (!this.#options.breaker || this.#timeouts < BREAKER_TIMEOUTS) return;
    this.#openUntil = this.#options.now() + BREAKER_OPEN_MS;
    this.#set(false, 'commands time out');
  }

  /** The server answered with an error: out of memory, loading, no permission … */
  refused(kind: CommandKind, reason: string): void {
    this.#timeouts = 0;
    if (kind === 'write') this.#refusesWrites = true;
    this.#set(false, reason);
  }

  #set(available: boolean, reason: string | undefined): void {
    if (this.#available === available) return;
    this.#available = available;
    this.#options.onChange(available, reason);
  }
}
