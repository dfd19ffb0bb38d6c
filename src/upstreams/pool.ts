import type { BalancePolicy, UpstreamConfig } from '../config/config.ts';
import type { Logger } from '../log.ts';
import { createPick } from './balance.ts';
import type { Pick } from './balance.ts';
import { Upstream } from './upstream.ts';

/** What an {@link UpstreamPool} needs. */
export interface UpstreamPoolOptions {
  readonly upstreams: readonly UpstreamConfig[];
  readonly policy: BalancePolicy;
  /** Sessions that live on an upstream, over all replicas as far as known. */
  readonly load: (upstreamId: string) => number;
  readonly log: Logger;
  /** Monotonic milliseconds. Default `performance.now`. */
  readonly now?: () => number;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

/** What a new configuration changed. An upstream whose address changed is in both lists. */
export interface PoolChange {
  readonly added: readonly Upstream[];
  readonly removed: readonly Upstream[];
}

/** The configured upstreams, and the choice among them for new sessions. */
export class UpstreamPool {
  readonly #options: UpstreamPoolOptions;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #changeListeners = new Set<(change: PoolChange) => void>();
  #policy: BalancePolicy;
  #pick: Pick;
  #byId: ReadonlyMap<string, Upstream> = new Map();
  #all: readonly Upstream[] = [];

  constructor(options: UpstreamPoolOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#random = options.random ?? Math.random;
    this.#policy = options.policy;
    this.#pick = this.#createPick(options.policy);
    this.apply(options.upstreams, options.policy);
  }

  /** The configured upstream of this id, whatever its health. */
  get(id: string): Upstream | undefined {
    return this.#byId.get(id);
  }

  /** All configured upstreams in the order of the configuration; a new array after each change. */
  get all(): readonly Upstream[] {
    return this.#all;
  }

  /**
   * Chooses the upstream of a new session by the configured policy.
   *
   * If all that could take it are ejected after failed connects, the one whose pause ends first is
   * chosen: a connect that may succeed is better than a sure refusal.
   *
   * @param exclude - those that have been tried already
   */
  pick(exclude: ReadonlySet<Upstream>): Upstream | undefined {
    const untried = this.#all.filter((upstream) => upstream.usable && !exclude.has(upstream));
    return this.#pick(untried.filter((upstream) => upstream.available)) ?? soonest(untried);
  }

  /** Takes over a new configuration; upstreams that keep id and address keep their state. */
  apply(upstreams: readonly UpstreamConfig[], policy: BalancePolicy): PoolChange {
    const old = this.#byId;
    const all = upstreams.map((config) => this.#keepOrCreate(config));
    this.#all = all;
    this.#byId = new Map(all.map((upstream) => [upstream.id, upstream]));
    if (policy !== this.#policy) this.#pick = this.#createPick(policy);
    this.#policy = policy;

    const added = all.filter((upstream) => old.get(upstream.id) !== upstream);
    const removed = [...old.values()].filter((upstream) => this.get(upstream.id) !== upstream);
    for (const upstream of removed) upstream.remove();
    for (const listener of [...this.#changeListeners]) listener({ added, removed });
    return { added, removed };
  }

  /**
   * Calls back after each {@link UpstreamPool.apply}.
   *
   * @returns stops listening
   */
  onChange(listener: (change: PoolChange) => void): () => void {
    this.#changeListeners.add(listener);
    return () => {
      this.#changeListeners.delete(listener);
    };
  }

  #keepOrCreate(config: UpstreamConfig): Upstream {
    const known = this.#byId.get(config.id);
    if (known !== undefined && sameAddress(known.config, config)) {
      known.config = config;
      return known;
    }
    return new Upstream({
      config,
      log: this.#options.log,
      now: this.#now,
      random: this.#random,
    });
  }

  #createPick(policy: BalancePolicy): Pick {
    return createPick(policy, { load: this.#options.load, random: this.#random });
  }
}

function sameAddress(a: UpstreamConfig, b: UpstreamConfig): boolean {
  return a.host === b.host && a.port === b.port && a.tls === b.tls;
}

function soonest(upstreams: readonly Upstream[]): Upstream | undefined {
  let best: Upstream | undefined;
  for (const upstream of upstreams) {
    if ((upstream.ejectedUntil ?? 0) < (best?.ejectedUntil ?? Infinity)) best = upstream;
  }
  return best;
}
