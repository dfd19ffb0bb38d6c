import type { DirectoryCounters } from './counters.ts';
import { isNewer } from './generation.ts';
import type { KnownSessions } from './known-sessions.ts';
import { UNVERIFIED } from './session.ts';
import type { Session } from './session.ts';
import { isUnavailable } from './store.ts';
import type { Binding, SessionStore } from './store.ts';
import { UnknownSids } from './unknown-sids.ts';

const UNKNOWN_LIMIT = 10_000;
const UNKNOWN_TTL_MS = 1_000;
const MAX_ASKS = 3;

/** Asks the store for sids that this replica does not know for certain, one question a sid at a time. */
export class LookUps {
  readonly #store: SessionStore;
  readonly #known: KnownSessions;
  readonly #counters: DirectoryCounters;
  readonly #unknown = new UnknownSids({ limit: UNKNOWN_LIMIT, ttlMs: UNKNOWN_TTL_MS });
  readonly #running = new Map<string, Promise<Session | undefined>>();

  constructor(store: SessionStore, known: KnownSessions, counters: DirectoryCounters) {
    this.#store = store;
    this.#known = known;
    this.#counters = counters;
  }

  ownerOf(sid: string): Session | undefined | Promise<Session | undefined> {
    const session = this.#known.cache.get(sid);
    if (session === undefined && this.#unknown.has(sid, this.#known.now())) {
      this.#counters.unknown += 1;
      return undefined;
    }
    if (session === undefined || !this.#known.isCertain(session)) return this.#lookUp(sid);
    this.#counters.hits += 1;
    return session;
  }

  /** The sid may exist now. */
  forget(sid: string): void {
    this.#unknown.delete(sid);
  }

  /** Any sid may. */
  forgetAll(): void {
    this.#unknown.clear();
  }

  #lookUp(sid: string): Promise<Session | undefined> {
    this.#counters.misses += 1;
    const running = this.#running.get(sid);
    if (running !== undefined) return running;
    const answer = this.#ask(sid).finally(() => this.#running.delete(sid));
    this.#running.set(sid, answer);
    return answer;
  }

  async #ask(sid: string): Promise<Session | undefined> {
    for (let asks = 1; ; asks++) {
      const watch = this.#known.watch(sid);
      try {
        const binding = await this.#store.ownerOf(sid);
        if (watch.epoch === UNVERIFIED && asks < MAX_ASKS) continue;
        return this.#learn(sid, binding, watch.epoch);
      } catch (error) {
        const cached = this.#known.cache.get(sid);
        if (cached !== undefined && isUnavailable(error)) return cached;
        throw error;
      } finally {
        watch.end();
      }
    }
  }

  #learn(sid: string, binding: Binding | undefined, epoch: number): Session | undefined {
    const cached = this.#known.cache.get(sid);
    if (binding === undefined) return this.#learnNone(sid, cached, epoch);
    if (cached === undefined || isNewer(binding.generation, cached.generation)) {
      return this.#known.enter(binding, epoch);
    }
    this.#known.confirm(cached, epoch);
    // The store has an older claim than this one: it lost the newer, or never got it.
    if (cached.generation !== binding.generation) cached.mustPublish();
    return cached;
  }

  /** An unexpired session that the store has lost lives on; the request's touch writes it again. */
  #learnNone(sid: string, cached: Session | undefined, epoch: number): Session | undefined {
    const now = this.#known.now();
    if (cached !== undefined && (now < cached.expiresAt || cached.unpublished !== undefined)) {
      this.#known.confirm(cached, epoch);
      cached.touchDueAt = -Infinity;
      return cached;
    }
    if (cached !== undefined) this.#known.drop(cached);
    if (epoch === this.#known.epoch) this.#unknown.add(sid, now);
    this.#counters.unknown += 1;
    return undefined;
  }
}
