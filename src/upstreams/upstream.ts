import type { UpstreamConfig } from '../config/config.ts';
import type { CrossOriginRules } from '../engineio/preflight.ts';
import type { Flavour } from '../engineio/types.ts';
import type { Logger } from '../log.ts';
import { Backoff } from './backoff.ts';

/** Consecutive failed checks until an upstream is believed to be ill. */
const FAILURES_UNTIL_UNHEALTHY = 2;

/** What the active checks say: `unhealthy` answers but with errors, `dead` does not answer at all. */
export type Health = 'healthy' | 'unhealthy' | 'dead';

/** What a handshake of the router's own has shown of an upstream. */
export interface Introduction {
  readonly flavour: Flavour;
  readonly crossOrigin: CrossOriginRules;
}

/** What an {@link Upstream} needs. */
export interface UpstreamOptions {
  readonly config: UpstreamConfig;
  readonly log: Logger;
  /** Monotonic milliseconds. */
  readonly now: () => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/**
 * One Socket.IO server: its configuration and what is known about it right now.
 *
 * Two things keep new sessions away from it. A failed connect ejects it for a pause that doubles
 * while it goes on failing; after the pause one handshake at a time may try it. And failed active
 * checks make it unhealthy, or dead if nothing answered; only a passed check ends that. An HTTP
 * error in ordinary traffic never counts: servers use 5xx for refusals of their own.
 */
export class Upstream {
  readonly id: string;
  /** Replaced on reload when nothing but the weight has changed. */
  config: UpstreamConfig;
  /** Server family as far as its answers have shown it. */
  flavour: Flavour = 'unknown';
  /** Handshakes sent to it and not yet claimed or failed; kept by whoever sends them. */
  handshakesInFlight = 0;

  readonly #log: Logger;
  readonly #now: () => number;
  readonly #backoff: Backoff;
  readonly #deathListeners = new Set<() => void>();
  #ejectedUntil: number | undefined;
  #health: Health = 'healthy';
  #failedChecks = 0;
  #unansweredChecks = 0;
  #removed = false;
  #introduction: Introduction | undefined;

  constructor(options: UpstreamOptions) {
    this.id = options.config.id;
    this.config = options.config;
    this.#log = options.log;
    this.#now = options.now;
    this.#backoff = new Backoff(options.random);
  }

  /** True if a new session may be sent to it. */
  get available(): boolean {
    if (this.#ejectedUntil === undefined) return this.usable;
    return this.usable && this.#now() >= this.#ejectedUntil && this.handshakesInFlight === 0;
  }

  /** True unless it is unhealthy, dead or removed: at worst, connecting to it failed lately. */
  get usable(): boolean {
    return this.#health === 'healthy' && !this.#removed;
  }

  /** What it showed last; undefined until then, and again once it has died. */
  get introduction(): Introduction | undefined {
    return this.#introduction;
  }

  /** Keeps what a handshake of the router's own has shown of it. */
  introduce(introduction: Introduction): void {
    this.#introduction = introduction;
    // A check's connection is not kept, so that its answer may lack marks that clients' answers bear.
    if (introduction.flavour !== 'unknown') this.flavour = introduction.flavour;
  }

  /** End of the pause after a failed connect, on the injected clock; undefined if none is in force. */
  get ejectedUntil(): number | undefined {
    return this.#ejectedUntil;
  }

  get health(): Health {
    return this.#health;
  }

  /** True while nothing answers there: whatever still waits for it waits in vain. */
  get dead(): boolean {
    return this.#health === 'dead';
  }

  /** True once it has left the configuration. */
  get removed(): boolean {
    return this.#removed;
  }

  /** A connection to it could not be opened: no new sessions for a while. */
  connectFailed(reason: string): void {
    const now = this.#now();
    // Requests that fail together are one failure: only the trial after the pause lengthens it.
    if (this.#ejectedUntil !== undefined && now < this.#ejectedUntil) return;
    const pauseMs = this.#backoff.nextMs();
    this.#ejectedUntil = now + pauseMs;
    this.#log.warn(
      { upstream: this.id, reason, pauseMs: Math.round(pauseMs) },
      'upstream ejected after a failed connect',
    );
  }

  /** A connection to it was opened: ends an ejection. */
  connected(): void {
    if (this.#ejectedUntil === undefined) return;
    this.#ejectedUntil = undefined;
    this.#backoff.reset();
    this.#log.info({ upstream: this.id }, 'upstream can be reached again');
  }

  /** An active check passed: whatever failed before is forgiven. */
  checkPassed(): void {
    this.#failedChecks = 0;
    this.#unansweredChecks = 0;
    this.connected();
    if (this.#health === 'healthy') return;
    this.#health = 'healthy';
    this.#log.info({ upstream: this.id }, 'upstream is healthy');
  }

  /**
   * An active check failed.
   *
   * @param reason - for the log
   * @param answered - it sent an HTTP answer, so it is ill at most: an error, not silence
   */
  checkFailed(reason: string, answered: boolean): void {
    this.#failedChecks++;
    this.#unansweredChecks = answered ? 0 : this.#unansweredChecks + 1;
    if (this.#unansweredChecks >= FAILURES_UNTIL_UNHEALTHY) this.#die(reason);
    else if (this.#failedChecks >= FAILURES_UNTIL_UNHEALTHY) this.#fallIll(reason, answered);
  }

  /**
   * Calls back each time the upstream turns from living to dead, so that held polls can be
   * answered and tunnels destroyed at once.
   *
   * @returns stops listening
   */
  onDead(listener: () => void): () => void {
    this.#deathListeners.add(listener);
    return () => {
      this.#deathListeners.delete(listener);
    };
  }

  /** It has left the configuration: no new sessions, ever. */
  remove(): void {
    this.#removed = true;
  }

  #fallIll(reason: string, answered: boolean): void {
    // One unanswered check does not tell that the dead one lives; an answered one does.
    if (this.#health === 'unhealthy' || (this.#health === 'dead' && !answered)) return;
    this.#health = 'unhealthy';
    this.#log.warn({ upstream: this.id, reason }, 'upstream is unhealthy');
  }

  #die(reason: string): void {
    if (this.#health === 'dead') return;
    this.#health = 'dead';
    // What comes back may be something else.
    this.#introduction = undefined;
    this.#log.error({ upstream: this.id, reason }, 'upstream is dead');
    for (const listener of [...this.#deathListeners]) listener();
  }
}
