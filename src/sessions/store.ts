import { UnstickyError } from '../errors.ts';

/** The record sid → upstream. */
export interface Binding {
  readonly sid: string;
  /** Id of the owner; an id that names no configured upstream routes nowhere. */
  readonly upstream: string;
  /**
   * Unique per claim and ordered by time (see `GenerationClock`); whatever refreshes or deletes a
   * binding compares it.
   */
  readonly generation: string;
  /** Time to live in milliseconds: how long the session survives without a request. */
  readonly ttlMs: number;
}

/** What became of a claim. */
export type ClaimResult =
  | { readonly kind: 'claimed' }
  /**
   * Nothing was written: another upstream holds this sid and `overwrite` was not allowed, or the
   * holder's generation is newer than the one claimed.
   */
  | { readonly kind: 'held'; readonly by: Binding };

/** What became of a touch. */
export type TouchResult =
  | { readonly kind: 'touched' }
  /** The store had lost the binding; it has been written again. */
  | { readonly kind: 'restored' }
  /** The sid belongs to another claim now; nothing was written. */
  | { readonly kind: 'moved'; readonly to: Binding };

/** What a claim may do. */
export interface ClaimOptions {
  /** Take the sid even if another upstream holds it: the last handshake wins. */
  readonly overwrite: boolean;
  /**
   * This sid may have been asked for before it existed (it was carried by the handshake, or is
   * short enough to be a counter): other replicas must forget what they believe about it.
   */
  readonly announce: boolean;
}

/** What a replica tells the others, now and then: living sessions by upstream id. */
export type SessionCounts = ReadonlyMap<string, number>;

/** What other replicas tell this one. */
export interface StoreEvents {
  /** The sid was claimed or released elsewhere: forget it. */
  onForget(sid: string): void;
  /** Events may have been missed: believe nothing that was cached before without asking again. */
  onGap(): void;
  /** A replica's own session counts; `undefined` when it left or fell silent. */
  onPeerCounts(replica: string, counts: SessionCounts | undefined): void;
  /** The store became reachable or unreachable; called on transitions only. */
  onAvailability(available: boolean, reason: string | undefined): void;
}

/**
 * Where bindings live. Every verb rejects with `STORE_UNAVAILABLE` when the store cannot answer in
 * time, and is then safe to repeat: a claim that is applied late never replaces a newer one, a
 * touch or release that is applied late compares its generation.
 */
export interface SessionStore {
  /**
   * Binds a sid. When it resolves with `claimed`, every replica's next `ownerOf` sees the binding:
   * if it replaced one or was announced, every living replica has forgotten the old one, or was
   * given 250 ms to.
   */
  claim(binding: Binding, options: ClaimOptions): Promise<ClaimResult>;
  /** The binding of a sid, or undefined if the store knows for certain that there is none. */
  ownerOf(sid: string): Promise<Binding | undefined>;
  /** Renews the time to live if the generation still holds. */
  touch(binding: Binding): Promise<TouchResult>;
  /** Deletes the binding if the generation still holds; resolves with whether it did. */
  release(binding: Binding): Promise<boolean>;
  /** Tells the other replicas this one's session counts; never rejects, loses silently. */
  publishCounts(counts: SessionCounts): void;
  /**
   * Starts delivering events; called once, before the first verb. Resolves when connected or given
   * up on waiting, which `onAvailability` then has told.
   */
  open(events: StoreEvents): Promise<void>;
  /** Leaves without waiting for commands under way; idempotent. */
  close(): Promise<void>;
}

/** True for the rejection of a store that cannot answer. */
export function isUnavailable(error: unknown): boolean {
  return error instanceof UnstickyError && error.code === 'STORE_UNAVAILABLE';
}
