import type { Binding } from './store.ts';

/** A claim that the store does not have; it is made again by the next touch. */
export interface UnpublishedClaim {
  readonly overwrite: boolean;
  readonly holderLives: (upstreamId: string) => boolean;
}

/** No epoch: what carries it is asked for again before its next use. */
export const UNVERIFIED: number = -1;

/** A binding as this replica knows it. All but the binding is the directory's own bookkeeping. */
export class Session implements Binding {
  readonly sid: string;
  readonly upstream: string;
  readonly generation: string;
  readonly ttlMs: number;
  /** Claimed by this replica, so counted by it. */
  readonly own: boolean;
  expiresAt: number;
  touchDueAt: number;
  /** The epoch in which the store was last known to agree. */
  epoch: number = UNVERIFIED;
  /** False once released or replaced: its touches do nothing. */
  live = true;
  touching = false;
  unpublished: UnpublishedClaim | undefined = undefined;

  constructor(binding: Binding, { own, now }: { readonly own: boolean; readonly now: number }) {
    this.sid = binding.sid;
    this.upstream = binding.upstream;
    this.generation = binding.generation;
    this.ttlMs = binding.ttlMs;
    this.own = own;
    this.expiresAt = now + binding.ttlMs;
    this.touchDueAt = now + binding.ttlMs / 3;
  }

  /** The store does not have this claim, or has an older one: the next touch makes it again. */
  mustPublish(claim: UnpublishedClaim = { overwrite: true, holderLives: () => false }): void {
    this.unpublished ??= claim;
    this.touchDueAt = -Infinity;
  }

  /** The store has been told that the session lives. */
  told(now: number): void {
    this.touchDueAt = now + this.ttlMs / 3;
  }
}
