import { guessableSid } from '../engineio/sid.ts';
import type { DirectoryCounters } from './counters.ts';
import { isNewer } from './generation.ts';
import type { KnownSessions } from './known-sessions.ts';
import type { Session } from './session.ts';
import { isUnavailable } from './store.ts';
import type { Binding, SessionStore } from './store.ts';

const MAX_CLAIMS = 3;
/** What a claim needs to know of the handshake behind it. */
export interface HandshakeClaim {
  /** How long the session survives without a request. */
  readonly ttlMs: number;
  /** The handshake request carried this sid as cookie or header: the last handshake wins. */
  readonly carried: boolean;
  /** False for an upstream that is dead or not configured: what it holds may be taken. */
  readonly holderLives: (upstreamId: string) => boolean;
}

/** What became of a handshake's claim. */
export type ClaimOutcome =
  /** `published` is false while the store is down: then only this replica knows the session. */
  | { readonly kind: 'claimed'; readonly session: Session; readonly published: boolean }
  /** A living upstream has a session of the same sid. */
  | { readonly kind: 'collision'; readonly holder: string };

/** Binds the sids of new sessions, in the store or, while that is away, in the dark. */
export class Claims {
  readonly #store: SessionStore;
  readonly #known: KnownSessions;
  readonly #counters: DirectoryCounters;

  constructor(store: SessionStore, known: KnownSessions, counters: DirectoryCounters) {
    this.#store = store;
    this.#known = known;
    this.#counters = counters;
  }

  async claim(sid: string, upstream: string, handshake: HandshakeClaim): Promise<ClaimOutcome> {
    const first = this.#bind(sid, upstream, handshake.ttlMs);
    const watch = this.#known.watch(sid);
    try {
      const taken = await this.#claimInStore(first, handshake);
      if (typeof taken === 'string') return this.#collision(taken);
      return { kind: 'claimed', session: this.#known.enter(taken, watch.epoch), published: true };
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return this.#claimInTheDark(first, handshake);
    } finally {
      watch.end();
    }
  }

  /** Resolves with the binding as it was written, or with the id of a living holder. */
  async #claimInStore(first: Binding, handshake: HandshakeClaim): Promise<Binding | string> {
    const { carried, holderLives } = handshake;
    // A counter's next sid may have been asked for, and not found, before it existed.
    const announce = carried || guessableSid(first.sid);
    let binding = first;
    let overwrite = carried;
    for (let attempt = 1; ; attempt++) {
      const result = await this.#store.claim(binding, { overwrite, announce });
      if (result.kind === 'claimed') return binding;
      const { by } = result;
      const mayTake = carried || by.upstream === binding.upstream || !holderLives(by.upstream);
      if (!mayTake || attempt === MAX_CLAIMS) return by.upstream;
      overwrite = true;
      // Another replica's clock is ahead: this handshake is later all the same, it happens now.
      this.#known.clock.observe(by.generation);
      if (isNewer(by.generation, binding.generation)) {
        binding = this.#bind(binding.sid, binding.upstream, binding.ttlMs);
      }
    }
  }

  #claimInTheDark(binding: Binding, { carried, holderLives }: HandshakeClaim): ClaimOutcome {
    const holder = this.#known.cache.get(binding.sid)?.upstream;
    const taken = holder !== undefined && holder !== binding.upstream && holderLives(holder);
    if (taken && !carried) return this.#collision(holder);
    this.#counters.unpublished += 1;
    const session = this.#known.enter(binding, this.#known.epoch);
    session.mustPublish({ overwrite: carried, holderLives });
    return { kind: 'claimed', session, published: false };
  }

  #collision(holder: string): ClaimOutcome {
    this.#counters.collisions += 1;
    return { kind: 'collision', holder };
  }

  #bind(sid: string, upstream: string, ttlMs: number): Binding {
    return { sid, upstream, generation: this.#known.clock.next(), ttlMs };
  }
}
