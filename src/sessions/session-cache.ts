import type { Session } from './session.ts';
import type { SessionCounts } from './store.ts';

/**
 * Sessions by sid, at most `limit` of them: the one renewed longest ago makes room. Counts its own
 * sessions by upstream in the two places where one can enter or leave, so that no count can leak.
 */
export class SessionCache {
  readonly #limit: number;
  readonly #sessions = new Map<string, Session>();
  readonly #own = new Map<string, number>();

  /** Changes whenever an own count does. */
  ownVersion = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get size(): number {
    return this.#sessions.size;
  }

  get(sid: string): Session | undefined {
    return this.#sessions.get(sid);
  }

  has(session: Session): boolean {
    return this.#sessions.get(session.sid) === session;
  }

  /** Adds a session in the place of any other of its sid. */
  add(session: Session): void {
    const former = this.#sessions.get(session.sid);
    if (former !== undefined) this.delete(former);
    this.#sessions.set(session.sid, session);
    this.#count(session, 1);
    if (this.#sessions.size > this.#limit) this.#evict();
  }

  /** Removes this very session; another of the same sid stays. */
  delete(session: Session): void {
    if (!this.has(session)) return;
    this.#sessions.delete(session.sid);
    this.#count(session, -1);
  }

  /** Makes it the last one to make room. */
  renew(session: Session): void {
    if (!this.has(session)) return;
    this.#sessions.delete(session.sid);
    this.#sessions.set(session.sid, session);
  }

  values(): IterableIterator<Session> {
    return this.#sessions.values();
  }

  ownCount(upstream: string): number {
    return this.#own.get(upstream) ?? 0;
  }

  /** Own sessions by upstream, those with none left out. */
  get ownCounts(): SessionCounts {
    return this.#own;
  }

  #evict(): void {
    for (const session of this.#sessions.values()) {
      this.delete(session);
      return;
    }
  }

  #count(session: Session, change: 1 | -1): void {
    if (!session.own) return;
    this.ownVersion += 1;
    const count = this.ownCount(session.upstream) + change;
    if (count === 0) this.#own.delete(session.upstream);
    else this.#own.set(session.upstream, count);
  }
}
