import { isNewer } from './generation.ts';
import type {
  Binding,
  ClaimOptions,
  ClaimResult,
  SessionStore,
  StoreEvents,
  TouchResult,
} from './store.ts';

interface Slot {
  readonly binding: Binding;
  expiresAt: number;
}

/** Most expired bindings that one claim clears away: keeps the store tidy without a timer. */
const SWEEP_PER_CLAIM = 2;

/** What a {@link MemoryStore} is made of. */
export interface MemoryStoreOptions {
  /** Most bindings held; at the limit the one touched longest ago makes room. */
  readonly maxBindings: number;
  /** Monotonic clock in milliseconds, default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Bindings of a single replica, in its own memory: bounded, expiring, every verb O(1). It is always
 * available and has no peers, so it never calls an event but the first availability.
 */
export class MemoryStore implements SessionStore {
  /** In the order of the last touch, so the first one is nearest to its end (for equal times to live). */
  readonly #slots = new Map<string, Slot>();
  readonly #maxBindings: number;
  readonly #now: () => number;

  constructor({ maxBindings, now = () => performance.now() }: MemoryStoreOptions) {
    this.#maxBindings = maxBindings;
    this.#now = now;
  }

  /** Bindings held, expired ones that nothing has cleared away yet included. */
  get size(): number {
    return this.#slots.size;
  }

  open(events: StoreEvents): Promise<void> {
    events.onAvailability(true, undefined);
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.#slots.clear();
    return Promise.resolve();
  }

  claim(binding: Binding, { overwrite }: ClaimOptions): Promise<ClaimResult> {
    const holder = this.#find(binding.sid);
    if (holder !== undefined && !mayReplace(holder, binding, overwrite)) {
      return Promise.resolve({ kind: 'held', by: holder });
    }
    this.#put(binding);
    this.#sweep();
    return Promise.resolve({ kind: 'claimed' });
  }

  ownerOf(sid: string): Promise<Binding | undefined> {
    return Promise.resolve(this.#find(sid));
  }

  touch(binding: Binding): Promise<TouchResult> {
    const holder = this.#find(binding.sid);
    if (holder !== undefined && holder.generation !== binding.generation) {
      return Promise.resolve({ kind: 'moved', to: holder });
    }
    this.#put(binding);
    return Promise.resolve({ kind: holder === undefined ? 'restored' : 'touched' });
  }

  release(binding: Binding): Promise<boolean> {
    const holds = this.#find(binding.sid)?.generation === binding.generation;
    if (holds) this.#slots.delete(binding.sid);
    return Promise.resolve(holds);
  }

  publishCounts(): void {
    // No peers to tell.
  }

  #find(sid: string): Binding | undefined {
    const slot = this.#slots.get(sid);
    if (slot === undefined) return undefined;
    if (this.#now() < slot.expiresAt) return slot.binding;
    this.#slots.delete(sid);
    return undefined;
  }

  #put({ sid, upstream, generation, ttlMs }: Binding): void {
    this.#slots.delete(sid);
    const binding = { sid, upstream, generation, ttlMs };
    this.#slots.set(sid, { binding, expiresAt: this.#now() + ttlMs });
    if (this.#slots.size > this.#maxBindings) this.#dropOldest(Infinity);
  }

  #sweep(): void {
    const now = this.#now();
    for (let i = 0; i < SWEEP_PER_CLAIM && this.#dropOldest(now); i++);
  }

  /** Drops the binding touched longest ago if it ends by `time`. */
  #dropOldest(time: number): boolean {
    for (const [sid, { expiresAt }] of this.#slots) {
      return expiresAt <= time && this.#slots.delete(sid);
    }
    return false;
  }
}

function mayReplace(holder: Binding, binding: Binding, overwrite: boolean): boolean {
  if (isNewer(holder.generation, binding.generation)) return false;
  return overwrite || holder.upstream === binding.upstream;
}
