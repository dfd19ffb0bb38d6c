/** The record sid → upstream. */
export interface Binding {
  readonly sid: string;
  /** Id of the owner; an id that names no configured upstream routes nowhere. */
  readonly upstream: string;
  /** Unique per claim; whatever refreshes or deletes a binding compares it. */
  readonly generation: string;
  /** Time to live in milliseconds: how long the session survives without a request. */
  readonly ttlMs: number;
}

/** What became of a claim. */
export type ClaimResult =
  | { readonly kind: 'claimed' }
  /** Another upstream holds this sid and `overwrite` was not allowed; nothing was written. */
  | { readonly kind: 'held'; readonly by: Binding };

/** What became of a touch. */
export type TouchResult =
  | { readonly kind: 'touched' }
  /** The store had lost the binding; it has been written again. */
  | { readonly kind: 'restored' }
  /** The sid belongs to another claim now; nothing was written. */
  | { readonly kind: 'moved'; readonly to: Binding };

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
 * Where bindings live. Every method rejects with `STORE_UNAVAILABLE` when the store cannot answer
 * in time, and is then safe to repeat: a write that was applied late never replaces a newer claim's
 * generation with the caller believing otherwise.
 */
export interface SessionStore {
  /** Binds a sid. When it resolves with `claimed`, every replica's next `ownerOf` sees the binding. */
  claim(binding: Binding, options: ClaimOptions): Promise<ClaimResult>;
  /** The binding of a sid, or undefined if the store knows for certain that there is none. */
  ownerOf(sid: string): Promise<Binding | undefined>;
  /** Renews the time to live if the generation still holds. */
  touch(binding: Binding): Promise<TouchResult>;
  /** Deletes the binding if the generation still holds; resolves with whether it did. */
  release(binding: Binding): Promise<boolean>;
  /** Tells the other replicas this one's session counts; never rejects, loses silently. */
  publishCounts(counts: SessionCounts): void;
  /** Starts delivering events; called once, before the first verb. Resolves when connected or given up on waiting. */
  open(events: StoreEvents): Promise<void>;
  close(): Promise<void>;
}
