import type { SessionCounts } from './store.ts';

interface Peer {
  readonly counts: SessionCounts;
  /** Own claims by upstream at the time the counts arrived. */
  readonly claimsBefore: ReadonlyMap<string, number>;
}

/**
 * What the other replicas' sessions add to an upstream's load: their last counts, and for the time
 * since then the assumption that each of them claimed as this replica did. Handshakes that come to
 * all replicas at once are so spread evenly without a round trip for each: a replica that saw only
 * its own half of a burst would otherwise undo with it what the counts said before.
 */
export class PeerLoad {
  readonly #peers = new Map<string, Peer>();
  readonly #claims = new Map<string, number>();

  /** A claim of this replica. */
  claimed(upstream: string): void {
    this.#claims.set(upstream, (this.#claims.get(upstream) ?? 0) + 1);
  }

  heard(peer: string, counts: SessionCounts | undefined): void {
    if (counts === undefined) this.#peers.delete(peer);
    else this.#peers.set(peer, { counts, claimsBefore: new Map(this.#claims) });
  }

  load(upstream: string): number {
    const claims = this.#claims.get(upstream) ?? 0;
    let load = 0;
    for (const { counts, claimsBefore } of this.#peers.values()) {
      load += (counts.get(upstream) ?? 0) + claims - (claimsBefore.get(upstream) ?? 0);
    }
    return load;
  }
}
