import type { Logger } from '../log.ts';
import type { DirectoryCounters } from './counters.ts';
import { isNewer } from './generation.ts';
import type { KnownSessions } from './known-sessions.ts';
import { forEachLimited } from './limited.ts';
import { UNVERIFIED } from './session.ts';
import type { Session, UnpublishedClaim } from './session.ts';
import { isUnavailable } from './store.ts';
import type { Binding, SessionStore } from './store.ts';

const RETOUCH_MS = 1_000;
const REPUBLISH_PAUSE_MS = 5_000;
/** Store commands that run at a time in the background, so that requests find their turn. */
const BACKGROUND_COMMANDS = 32;

/** What the upkeep works with. */
export interface UpkeepOptions {
  readonly store: SessionStore;
  readonly known: KnownSessions;
  readonly counters: DirectoryCounters;
  readonly log: Logger;
  readonly available: () => boolean;
}

/** Keeps the store's bindings and what this replica knows alive, in step, and free of the dead. */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #store: SessionStore;
  readonly #known: KnownSessions;
  #sweeping = false;
  #republishing = false;
  #republishedAt = -Infinity;

  constructor(options: UpkeepOptions) {
    this.#options = options;
    this.#store = options.store;
    this.#known = options.known;
  }

  /** See `Directory.touch`. */
  touch(session: Session): void {
    if (!session.live) return;
    const now = this.#known.now();
    session.expiresAt = now + session.ttlMs;
    if (session.touching || now < session.touchDueAt) return;
    this.#known.cache.renew(session);
    void this.#renew(session);
  }

  /** See `Directory.release`. */
  release(session: Session): void {
    this.#known.drop(session);
    void this.#releaseInStore(session);
  }

  /** Touches everything that lives: the store may have been away, or come back empty. */
  async republish(): Promise<void> {
    if (this.#republishing) return;
    this.#republishing = true;
    await forEachLimited([...this.#known.cache.values()], BACKGROUND_COMMANDS, async (session) => {
      const due = session.live && !session.touching && this.#known.now() < session.expiresAt;
      if (due && this.#options.available()) await this.#renew(session);
    });
    this.#republishedAt = this.#known.now();
    this.#republishing = false;
  }

  /**
   * Drops sessions that had no request for their time to live, unless they are this replica's to
   * count and live on through others. While the store is away nothing expires: what this replica
   * knows is then all there is.
   */
  async sweep(): Promise<void> {
    if (this.#sweeping || !this.#options.available()) return;
    this.#sweeping = true;
    const now = this.#known.now();
    const expired = [...this.#known.cache.values()].filter(({ expiresAt }) => now >= expiresAt);
    await forEachLimited(expired, BACKGROUND_COMMANDS, (session) => this.#expire(session));
    this.#sweeping = false;
  }

  async #renew(session: Session): Promise<void> {
    session.touching = true;
    const epoch = this.#known.epoch;
    try {
      const { unpublished } = session;
      if (unpublished === undefined) await this.#touchInStore(session, epoch);
      else await this.#publish(session, unpublished, epoch);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      session.touchDueAt = this.#known.now() + RETOUCH_MS;
    } finally {
      session.touching = false;
    }
  }

  async #touchInStore(session: Session, epoch: number): Promise<void> {
    const { counters, log } = this.#options;
    const result = await this.#store.touch(session);
    if (!session.live) return;
    session.told(this.#known.now());
    switch (result.kind) {
      case 'touched':
        this.#readmit(session, epoch);
        return;
      case 'restored':
        counters.restored += 1;
        log.debug({ upstream: session.upstream }, 'binding was lost and written again');
        this.#readmit(session, epoch);
        this.#suspectLoss();
        return;
      case 'moved':
        counters.moved += 1;
        // A failover lost the newer claim: the last handshake wins all the same.
        if (isNewer(session.generation, result.to.generation)) session.mustPublish();
        else this.#replace(session, result.to);
        return;
    }
  }

  async #publish(session: Session, claim: UnpublishedClaim, epoch: number): Promise<void> {
    const { overwrite, holderLives } = claim;
    let result = await this.#store.claim(session, { overwrite, announce: true });
    if (result.kind === 'held' && !holderLives(result.by.upstream)) {
      result = await this.#store.claim(session, { overwrite: true, announce: true });
    }
    if (!session.live) return this.#releaseInStore(session);
    session.unpublished = undefined;
    session.told(this.#known.now());
    if (result.kind === 'claimed') {
      this.#readmit(session, epoch);
      return;
    }
    if (!overwrite) this.#options.counters.collisions += 1;
    this.#replace(session, result.by);
  }

  /** The session lives but was evicted or forgotten: known again, to be verified at its next use. */
  #readmit(session: Session, epoch: number): void {
    const { cache } = this.#known;
    if (cache.has(session)) session.epoch = epoch;
    else if (cache.get(session.sid) === undefined) this.#known.admit(session, UNVERIFIED);
  }

  #replace(session: Session, to: Binding): void {
    this.#known.drop(session);
    this.#known.enter(to, UNVERIFIED);
  }

  /** One lost binding is seldom alone: a flush, an eviction or a failover took more. */
  #suspectLoss(): void {
    const pause = this.#known.now() - this.#republishedAt;
    if (pause >= REPUBLISH_PAUSE_MS) void this.republish();
  }

  async #releaseInStore(session: Session): Promise<void> {
    try {
      await this.#store.release(session);
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      this.#options.log.debug(
        { upstream: session.upstream },
        'binding is left to its time to live',
      );
    }
  }

  async #expire(session: Session): Promise<void> {
    const alive = session.own && (await this.#holdsInStore(session));
    if (this.#known.now() < session.expiresAt) return;
    if (alive) this.#known.confirm(session, UNVERIFIED);
    else this.#known.cache.delete(session);
  }

  async #holdsInStore({ sid, generation }: Session): Promise<boolean> {
    try {
      return (await this.#store.ownerOf(sid))?.generation === generation;
    } catch (error) {
      if (!isUnavailable(error)) throw error;
      return true;
    }
  }
}
