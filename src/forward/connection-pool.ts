import { UpstreamConnection } from './connection.ts';
import type { ConnectionOwner } from './connection.ts';
import type { DialTarget } from './dial.ts';

/**
 * A connection must stay open this long after an answer before its upstream is believed to keep
 * connections alive. netty-socketio says `keep-alive` and closes 1 to 2 ms after each answer.
 */
const PROBATION_MS = 100;
/** After this time an upstream that closed its connections may show that it has changed. */
const RELEARN_AFTER_MS = 60_000;
/** Idle time after which a connection is not used again: below the 5 s of Node and uvicorn servers. */
const MAX_IDLE_MS = 4000;
/** A connection is given up this long before the end of the time its upstream announced. */
const HINT_MARGIN_MS = 1000;
/**
 * Idle time after which a connection no longer carries requests that must not be sent twice: the
 * shorter it idled, the less likely its upstream closes it at this very moment.
 */
const MAX_IDLE_FOR_POST_MS = 1000;
const MAX_IDLE_CONNECTIONS = 256;
const SWEEP_MS = 500;

/** What a pool needs to know. */
export interface PoolOptions {
  readonly target: DialTarget;
  readonly connectTimeoutMs: number;
  readonly onConnected: () => void;
  /** Monotonic clock in milliseconds. */
  readonly now: () => number;
}

/**
 * Connections to one upstream. Whether they may be used again is learnt from the upstream's
 * behaviour, not from what it says; nothing is connected ahead of need, since netty-socketio cuts
 * a connection that sends no request within 5 s.
 */
export class ConnectionPool implements ConnectionOwner {
  readonly #options: PoolOptions;
  readonly #open = new Set<UpstreamConnection>();
  /** Idle connections, the latest used last. */
  readonly #idle: UpstreamConnection[] = [];
  #reuse: 'learning' | 'yes' | 'no' = 'learning';
  #learntAtMs = 0;
  #sweeper: NodeJS.Timeout | undefined;
  #closing = false;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  /** Open connections, idle ones included. */
  get size(): number {
    return this.#open.size;
  }

  /** What to say in the request's Connection header. */
  get connectionHeader(): 'keep-alive' | 'close' {
    return this.#reuse === 'no' && !this.#mayRelearn() ? 'close' : 'keep-alive';
  }

  /**
   * A connection for one exchange: an idle one that can be trusted, else a new one.
   *
   * @param purpose - `fresh`: never an idle one; `once`: the request must not be sent twice
   */
  acquire(purpose: 'fresh' | 'once' | 'repeatable'): UpstreamConnection {
    if (this.#reuse === 'no' && this.#mayRelearn()) this.#reuse = 'learning';
    return (purpose === 'fresh' ? undefined : this.#takeIdle(purpose)) ?? this.#connect();
  }

  /** A used connection turned out dead: the upstream's ways may have changed. */
  reuseFailed(): void {
    this.#reuse = 'learning';
  }

  /** Lets running exchanges finish, keeps nothing idle. */
  close(): void {
    this.#closing = true;
    clearInterval(this.#sweeper);
    for (const connection of this.#idle.splice(0)) connection.end();
  }

  destroy(): void {
    this.close();
    for (const connection of this.#open) connection.destroy();
  }

  onConnected(): void {
    this.#options.onConnected();
  }

  onIdle(connection: UpstreamConnection): void {
    if (this.#closing || this.#reuse === 'no' || this.#idle.length >= MAX_IDLE_CONNECTIONS) {
      connection.end();
      return;
    }
    connection.reused = true;
    connection.idleSinceMs = this.#options.now();
    this.#idle.push(connection);
    this.#sweeper ??= setInterval(() => {
      this.#sweep();
    }, SWEEP_MS).unref();
    if (this.#reuse === 'learning') this.#observe(connection);
  }

  onClosed(connection: UpstreamConnection): void {
    this.#open.delete(connection);
    const index = this.#idle.indexOf(connection);
    if (index === -1) return;
    this.#idle.splice(index, 1);
    const idleMs = this.#options.now() - connection.idleSinceMs;
    if (idleMs < PROBATION_MS) this.#learn('no');
  }

  #connect(): UpstreamConnection {
    const { target, connectTimeoutMs } = this.#options;
    const connection = new UpstreamConnection(target, connectTimeoutMs, this);
    this.#open.add(connection);
    return connection;
  }

  #takeIdle(purpose: 'once' | 'repeatable'): UpstreamConnection | undefined {
    if (this.#reuse !== 'yes') return undefined;
    const connection = this.#idle.at(-1);
    if (connection === undefined) return undefined;
    const idleMs = this.#options.now() - connection.idleSinceMs;
    const limitMs = purpose === 'once' ? MAX_IDLE_FOR_POST_MS : MAX_IDLE_MS;
    // The latest used is the youngest: if it is too old, all are.
    if (idleMs > Math.min(limitMs, idleLimitMs(connection)) || !connection.usable) return undefined;
    this.#idle.pop();
    return connection;
  }

  #observe(connection: UpstreamConnection): void {
    setTimeout(() => {
      if (this.#reuse === 'learning' && connection.usable) this.#learn('yes');
    }, PROBATION_MS).unref();
  }

  #learn(reuse: 'yes' | 'no'): void {
    this.#reuse = reuse;
    this.#learntAtMs = this.#options.now();
  }

  #mayRelearn(): boolean {
    return this.#options.now() - this.#learntAtMs > RELEARN_AFTER_MS;
  }

  #sweep(): void {
    const now = this.#options.now();
    for (const connection of [...this.#idle]) {
      if (now - connection.idleSinceMs <= idleLimitMs(connection)) continue;
      this.#idle.splice(this.#idle.indexOf(connection), 1);
      connection.end();
    }
    if (this.#idle.length > 0) return;
    clearInterval(this.#sweeper);
    this.#sweeper = undefined;
  }
}

function idleLimitMs(connection: UpstreamConnection): number {
  const hint = connection.keepAliveHintMs;
  return hint === undefined
    ? MAX_IDLE_MS
    : Math.min(MAX_IDLE_MS, Math.max(0, hint - HINT_MARGIN_MS));
}
