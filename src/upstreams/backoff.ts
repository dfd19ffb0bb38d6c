/** First pause after a failure. */
const BASE_MS = 1_000;
/** No pause is longer. */
const MAX_MS = 30_000;

/**
 * Pauses that double from 1 s to 30 s, each shortened by up to half at random, so that many
 * routers do not all come back to one upstream in the same moment.
 */
export class Backoff {
  readonly #random: () => number;
  #failures = 0;

  /** @param random - uniform in [0, 1) */
  constructor(random: () => number) {
    this.#random = random;
  }

  /** Length of the next pause in milliseconds; the one after it is twice as long. */
  nextMs(): number {
    const fullMs = Math.min(MAX_MS, BASE_MS * 2 ** this.#failures);
    if (fullMs < MAX_MS) this.#failures++;
    return fullMs * (1 - this.#random() / 2);
  }

  /** Starts again from the shortest pause. */
  reset(): void {
    this.#failures = 0;
  }
}
