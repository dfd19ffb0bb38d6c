import { GenerationClock, isNewer } from './generation.ts';
import { SessionCache } from './session-cache.ts';
import { Session, UNVERIFIED } from './session.ts';
import type { Binding } from './store.ts';

/** Guards what a command under way brings against news that arrive meanwhile. */
export interface Watch {
  /** Epoch for what the command brings: `UNVERIFIED` once the sid was forgotten. */
  readonly epoch: number;
  end(): void;
}

class SidWatch implements Watch {
  epoch: number;
  readonly end: () => void;

  constructor(epoch: number, end: () => void) {
    this.epoch = epoch;
    this.end = end;
  }
}

/** What {@link KnownSessions} are made of. */
export interface KnownSessionsOptions {
  readonly replica: string;
  readonly limit: number;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
}

/**
 * The sessions that this replica knows, and the two rules for what it may believe of them: a newer
 * claim is never replaced by an older one (as in the store), and what may have changed since the
 * store was asked is asked again before its next use.
 */
export class KnownSessions {
  readonly cache: SessionCache;
  readonly clock: GenerationClock;
  readonly now: () => number;
  readonly #watches = new Map<string, Set<SidWatch>>();
  #epoch = 0;

  constructor({ replica, limit, now }: KnownSessionsOptions) {
    this.cache = new SessionCache(limit);
    this.clock = new GenerationClock(replica);
    this.now = now;
  }

  /** Moves on when news may have been missed: sessions of an earlier epoch are verified first. */
  get epoch(): number {
    return this.#epoch;
  }

  /** True if the session can be used without asking the store. */
  isCertain(session: Session): boolean {
    return session.epoch === this.#epoch && this.now() < session.expiresAt;
  }

  /** A binding new in these hands: claimed now, or read from the store. */
  enter(binding: Binding, epoch: number): Session {
    this.clock.observe(binding.generation);
    const own = this.clock.made(binding.generation);
    const session = new Session(binding, { own, now: this.now() });
    this.admit(session, epoch);
    return session;
  }

  /** Puts a session into the cache unless a newer claim of its sid is there. */
  admit(session: Session, epoch: number): void {
    session.epoch = epoch;
    const cached = this.cache.get(session.sid);
    if (cached !== undefined) {
      if (isNewer(cached.generation, session.generation)) return;
      cached.live = false;
    }
    this.cache.add(session);
  }

  /** The store agrees with a session of the cache. */
  confirm(session: Session, epoch: number): void {
    session.epoch = epoch;
    session.expiresAt = this.now() + session.ttlMs;
  }

  /** The session is over or replaced; a later claim of its sid stays. */
  drop(session: Session): void {
    session.live = false;
    // A look-up under way may have read the binding before it was deleted.
    this.#doubt(session.sid);
    const cached = this.cache.get(session.sid);
    if (cached?.generation !== session.generation) return;
    cached.live = false;
    this.cache.delete(cached);
  }

  /** Another replica claimed or released the sid. */
  forget(sid: string): void {
    this.#doubt(sid);
    const cached = this.cache.get(sid);
    if (cached === undefined) return;
    // What the store never had is not what was forgotten.
    if (cached.unpublished === undefined) this.cache.delete(cached);
    else cached.epoch = UNVERIFIED;
  }

  /** News may have been missed. */
  gap(): void {
    this.#epoch += 1;
  }

  /** To be taken before a command on the sid is sent, and ended after. */
  watch(sid: string): Watch {
    const watches = this.#watches.get(sid) ?? new Set();
    const watch = new SidWatch(this.#epoch, () => {
      watches.delete(watch);
      if (watches.size === 0) this.#watches.delete(sid);
    });
    this.#watches.set(sid, watches.add(watch));
    return watch;
  }

  #doubt(sid: string): void {
    for (const watch of this.#watches.get(sid) ?? []) watch.epoch = UNVERIFIED;
  }
}
