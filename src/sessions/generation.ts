/**
 * Makes generations: unique per claim and ordered by time, so that the last handshake can be told
 * from an older one that a slow network delivers late. The time is a hybrid clock in microseconds
 * (wall clock, but never behind a generation already made or seen), so two replicas agree on the
 * order of what one of them has read from the other, whatever their wall clocks say.
 */
export class GenerationClock {
  readonly #replica: string;
  readonly #wallMs: () => number;
  #latest = 0;

  /**
   * @param replica - id of this process, unlike any other's now or before; no spaces
   * @param wallMs - wall clock in milliseconds, default `Date.now`
   */
  constructor(replica: string, wallMs: () => number = Date.now) {
    this.#replica = replica;
    this.#wallMs = wallMs;
  }

  /** A generation later than every one made or observed here. */
  next(): string {
    this.#latest = Math.max(this.#wallMs() * 1000, this.#latest + 1);
    return `${String(this.#latest)}-${this.#replica}`;
  }

  /** Makes later generations follow this one. */
  observe(generation: string): void {
    const time = generationTime(generation);
    if (Number.isSafeInteger(time) && time > this.#latest) this.#latest = time;
  }

  /** True if this replica made the generation. */
  made(generation: string): boolean {
    return generation.endsWith(`-${this.#replica}`);
  }
}

/** True if generation `a` was claimed after `b`. */
export function isNewer(a: string, b: string): boolean {
  return generationTime(a) > generationTime(b);
}

function generationTime(generation: string): number {
  return Number.parseInt(generation, 10);
}
