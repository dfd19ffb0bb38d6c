import type { Logger } from '../log.ts';
import { Claims } from './claims.ts';
import type { ClaimOutcome, HandshakeClaim } from './claims.ts';
import { DirectoryCounters } from './counters.ts';
import { KnownSessions } from './known-sessions.ts';
import { LookUps } from './look-ups.ts';
import { PeerLoad } from './peer-load.ts';
import type { Session } from './session.ts';
import type { SessionStore, StoreEvents } from './store.ts';
import { Upkeep } from './upkeep.ts';

export type { ClaimOutcome, HandshakeClaim } from './claims.ts';
export type { Session } from './session.ts';

const TICK_MS = 1_000;
const SWEEP_TICKS = 5;

/** What a {@link Directory} is made of. */
export interface DirectoryOptions {
  readonly store: SessionStore;
  /** Id of this process, unlike any other's now or before; no spaces. */
  readonly replica: string;
  /** Most sessions known at a time; the one used longest ago makes room. */
  readonly cachedBindings: number;
  readonly log: Logger;
  /** Monotonic clock in milliseconds, default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Who owns which sid, as the router asks it: a bounded cache in front of the store. The store is an
 * index; while it is away or when it has lost something, what this replica knows counts and is
 * written again.
 */
export class Directory {
  readonly counters: DirectoryCounters = new DirectoryCounters();
  readonly #store: SessionStore;
  readonly #log: Logger;
  readonly #known: KnownSessions;
  readonly #lookUps: LookUps;
  readonly #claims: Claims;
  readonly #upkeep: Upkeep;
  readonly #peers = new PeerLoad();
  #available = false;
  #unavailableReason: string | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #ticks = 0;
  #publishedVersion = 0;

  constructor({ store, replica, cachedBindings, log, now }: DirectoryOptions) {
    this.#store = store;
    this.#log = log;
    this.#known = new KnownSessions({
      replica,
      limit: cachedBindings,
      now: now ?? (() => performance.now()),
    });
    this.#lookUps = new LookUps(store, this.#known, this.counters);
    this.#claims = new Claims(store, this.#known, this.counters);
    this.#upkeep = new Upkeep({
      store,
      known: this.#known,
      counters: this.counters,
      log,
      available: () => this.#available,
    });
  }

  /** Resolves when the store is connected or given up on waiting: see {@link available}. */
  async open(): Promise<void> {
    this.#ticker = setInterval(() => {
      this.#tick();
    }, TICK_MS).unref();
    await this.#store.open(this.#events());
  }

  /** Idempotent. */
  async close(): Promise<void> {
    clearInterval(this.#ticker);
    await this.#store.close();
  }

  /** False while the store cannot answer. */
  get available(): boolean {
    return this.#available;
  }

  /** Why it cannot, for the operator; without passwords. */
  get unavailableReason(): string | undefined {
    return this.#unavailableReason;
  }

  /** Sessions this replica knows of: those it has claimed and others it has routed. */
  get sessionCount(): number {
    return this.#known.cache.size;
  }

  /** The sessions this replica knows of, the one renewed longest ago first. */
  sessions(): IterableIterator<Session> {
    return this.#known.cache.values();
  }

  /** Living sessions of an upstream over all replicas, as far as this one can know. */
  load(upstreamId: string): number {
    return this.#known.cache.ownCount(upstreamId) + this.#peers.load(upstreamId);
  }

  /**
   * Binds a new session before its handshake is released. While the store is down the session is
   * kept here and published as soon as the store can be reached.
   */
  async claim(sid: string, upstream: string, handshake: HandshakeClaim): Promise<ClaimOutcome> {
    const outcome = await this.#claims.claim(sid, upstream, handshake);
    if (outcome.kind === 'collision') return outcome;
    this.#lookUps.forget(sid);
    this.#peers.claimed(upstream);
    return outcome;
  }

  /**
   * The session of a sid, undefined if there is none. Answers at once from memory; rejects with
   * `STORE_UNAVAILABLE` only if nothing is known here and the store cannot answer.
   */
  ownerOf(sid: string): Session | undefined | Promise<Session | undefined> {
    return this.#lookUps.ownerOf(sid);
  }

  /** Notes that the session lives; tells the store at most once per third of its time to live. */
  touch(session: Session): void {
    this.#upkeep.touch(session);
  }

  /** The session is over; does nothing to another claim of its sid. */
  release(session: Session): void {
    this.#upkeep.release(session);
  }

  /**
   * Seen from here the upstream is dead: its sessions count no more. Their bindings stay, because
   * another replica may still reach it.
   */
  forgetUpstream(upstreamId: string): void {
    for (const session of [...this.sessions()]) {
      if (session.upstream === upstreamId) this.#known.drop(session);
    }
  }

  #events(): StoreEvents {
    return {
      onForget: (sid) => {
        this.#lookUps.forget(sid);
        this.#known.forget(sid);
      },
      onGap: () => {
        this.#lookUps.forgetAll();
        this.#known.gap();
      },
      onPeerCounts: (peer, counts) => {
        this.#peers.heard(peer, counts);
      },
      onAvailability: (available, reason) => {
        this.#setAvailability(available, reason);
      },
    };
  }

  #setAvailability(available: boolean, reason: string | undefined): void {
    this.#available = available;
    this.#unavailableReason = reason;
    if (available) {
      this.#log.info('session store can be used');
      void this.#upkeep.republish();
    } else {
      this.#log.warn({ reason }, 'session store cannot be used');
    }
  }

  #tick(): void {
    const { ownVersion, ownCounts } = this.#known.cache;
    if (ownVersion !== this.#publishedVersion) {
      this.#publishedVersion = ownVersion;
      this.#store.publishCounts(ownCounts);
    }
    this.#ticks += 1;
    if (this.#ticks % SWEEP_TICKS === 0) void this.#upkeep.sweep();
  }
}
