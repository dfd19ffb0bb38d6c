import { Deadlines } from '../deadlines.ts';
import { UnstickyError } from '../errors.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import { ConnectionPool } from './connection-pool.ts';
import { Relay } from './relay.ts';
import type { RelayOutcome, RelayRequest } from './relay.ts';

/** What {@link Relays} needs to know. */
export interface RelaysOptions {
  readonly connectTimeoutMs: number;
  readonly now: () => number;
}

interface Side {
  readonly pool: ConnectionPool;
  readonly running: Set<Relay>;
}

/** All relayed requests of a router and the connections they use, by upstream. */
export class Relays {
  readonly #sides = new Map<Upstream, Side>();
  readonly #deadlines: Deadlines;
  readonly #options: RelaysOptions;

  constructor(options: RelaysOptions) {
    this.#options = options;
    this.#deadlines = new Deadlines(options.now);
  }

  /** Requests that are under way. */
  get running(): number {
    let sum = 0;
    for (const side of this.#sides.values()) sum += side.running.size;
    return sum;
  }

  /** Sends a request to its upstream; the outcome comes through `onDone`, once. */
  forward(request: RelayRequest): void {
    const { upstream } = request;
    const side = this.#side(upstream);
    const onDone = (outcome: RelayOutcome): void => {
      side.running.delete(relay);
      if (outcome.kind === 'failed' && outcome.error.code === 'UPSTREAM_CONNECT') {
        upstream.connectFailed(outcome.error.message);
      }
      request.onDone(outcome);
    };
    const relay = new Relay({ ...request, onDone }, side.pool, this.#deadlines);
    side.running.add(relay);
    relay.start();
  }

  /** Answers every request that waits for this upstream, now, and closes all connections to it. */
  abort(upstream: Upstream, error: UnstickyError = new UnstickyError('UPSTREAM_DOWN')): void {
    const side = this.#sides.get(upstream);
    if (side === undefined) return;
    for (const relay of [...side.running]) relay.abort(error);
    side.pool.destroy();
    this.#sides.delete(upstream);
  }

  /** Lets the requests to a removed upstream finish and keeps no connection to it. */
  retire(upstream: Upstream): void {
    this.#sides.get(upstream)?.pool.close();
    this.#sides.delete(upstream);
  }

  /** Closes idle connections; what runs goes on. */
  close(): void {
    for (const side of this.#sides.values()) side.pool.close();
  }

  /** Ends everything. */
  destroy(): void {
    const error = new UnstickyError('SHUTTING_DOWN');
    for (const upstream of [...this.#sides.keys()]) this.abort(upstream, error);
  }

  #side(upstream: Upstream): Side {
    let side = this.#sides.get(upstream);
    if (side === undefined) {
      side = { pool: this.#openPool(upstream), running: new Set() };
      this.#sides.set(upstream, side);
    }
    return side;
  }

  #openPool(upstream: Upstream): ConnectionPool {
    return new ConnectionPool({
      target: upstream.config,
      connectTimeoutMs: this.#options.connectTimeoutMs,
      onConnected: () => {
        upstream.connected();
      },
      now: this.#options.now,
    });
  }
}
