/**
 * Sids that the store just said it does not know, so that a flood of them does not become a flood
 * of look-ups. Bounded, first in first out.
 */
export class UnknownSids {
  readonly #limit: number;
  readonly #ttlMs: number;
  readonly #expiries = new Map<string, number>();

  constructor({ limit, ttlMs }: { readonly limit: number; readonly ttlMs: number }) {
    this.#limit = limit;
    this.#ttlMs = ttlMs;
  }

  has(sid: string, now: number): boolean {
    const expiresAt = this.#expiries.get(sid);
    if (expiresAt === undefined) return false;
    if (now < expiresAt) return true;
    this.#expiries.delete(sid);
    return false;
  }

  add(sid: string, now: number): void {
    this.#expiries.delete(sid);
    this.#expiries.set(sid, now + this.#ttlMs);
    if (this.#expiries.size <= this.#limit) return;
    const [oldest] = this.#expiries.keys();
    if (oldest !== undefined) this.#expiries.delete(oldest);
  }

  delete(sid: string): void {
    this.#expiries.delete(sid);
  }

  clear(): void {
    this.#expiries.clear();
  }
}
