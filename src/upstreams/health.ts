import type { Config } from '../config/config.ts';
import type { Logger } from '../log.ts';
import { checkHandshake, checkHttp, checkTcp } from './check.ts';
import type { CheckResult, EngineVersion } from './check.ts';
import type { UpstreamPool } from './pool.ts';
import type { Upstream } from './upstream.ts';

/**
 * Time until the next check while an upstream is suspected or dead, if the interval is longer:
 * whoever waits for it should not wait another interval for certainty, nor for its return.
 */
const RECHECK_MS = 1_000;
/** The first checks are spread over this time at most. */
const START_SPREAD_MS = 1_000;

/** The part of the configuration that checks obey. */
export interface HealthSettings {
  readonly health: Config['health'];
  /** Engine.IO paths; the handshake check uses the first. */
  readonly paths: Config['paths'];
}

/** What a {@link HealthChecker} needs. */
export interface HealthCheckerOptions extends HealthSettings {
  readonly pool: UpstreamPool;
  readonly log: Logger;
  /** Uniform in [0, 1). Default `Math.random`. */
  readonly random?: () => number;
}

interface Watch {
  readonly upstream: Upstream;
  timer: NodeJS.Timeout | undefined;
  running: Promise<void> | undefined;
  version: EngineVersion;
}

/** Checks every upstream of a pool again and again, one check at a time for each. */
export class HealthChecker {
  readonly #pool: UpstreamPool;
  readonly #log: Logger;
  readonly #random: () => number;
  readonly #watches = new Map<Upstream, Watch>();
  readonly #limits = new Set<AbortController>();
  readonly #stopListening: () => void;
  #settings: HealthSettings;
  #started = false;

  constructor(options: HealthCheckerOptions) {
    this.#pool = options.pool;
    this.#log = options.log;
    this.#random = options.random ?? Math.random;
    this.#settings = options;
    this.#stopListening = options.pool.onChange(() => {
      if (this.#started) this.#followPool();
    });
  }

  /** Begins; the first check of each upstream comes within a second. */
  start(): void {
    this.#started = true;
    this.#followPool();
  }

  /** Takes over a new configuration; running checks still end under the old one. */
  apply(settings: HealthSettings): void {
    this.#settings = settings;
    if (!this.#started) return;
    for (const watch of this.#watches.values()) {
      if (watch.running === undefined) this.#schedule(watch, this.#startDelayMs());
    }
  }

  /**
   * Starts no more checks and resolves when those that run have ended, at the latest after their
   * timeout. Cutting them off could leave a session open on an upstream.
   */
  async close(): Promise<void> {
    this.#started = false;
    this.#stopListening();
    const watches = [...this.#watches.values()];
    for (const watch of watches) this.#forget(watch);
    await Promise.all(watches.flatMap(({ running }) => running ?? []));
  }

  /** As {@link close}, but cuts running checks off. */
  async destroy(): Promise<void> {
    for (const limit of this.#limits) limit.abort(new Error('the router stops'));
    return this.close();
  }

  #followPool(): void {
    const wanted = new Set(this.#pool.all);
    for (const watch of this.#watches.values()) {
      if (!wanted.has(watch.upstream)) this.#forget(watch);
    }
    for (const upstream of wanted) {
      if (this.#watches.has(upstream)) continue;
      const watch: Watch = { upstream, timer: undefined, running: undefined, version: '4' };
      this.#watches.set(upstream, watch);
      this.#schedule(watch, this.#startDelayMs());
    }
  }

  #forget(watch: Watch): void {
    clearTimeout(watch.timer);
    this.#watches.delete(watch.upstream);
  }

  #schedule(watch: Watch, delayMs: number): void {
    clearTimeout(watch.timer);
    watch.timer = setTimeout(() => {
      watch.running = this.#check(watch);
    }, delayMs);
    watch.timer.unref();
  }

  #startDelayMs(): number {
    return this.#random() * Math.min(START_SPREAD_MS, this.#settings.health.intervalMs);
  }

  async #check(watch: Watch): Promise<void> {
    const { upstream } = watch;
    const { timeoutMs, intervalMs } = this.#settings.health;
    const limit = new AbortController();
    this.#limits.add(limit);
    const timer = setTimeout(() => {
      limit.abort(new Error(`not complete within ${String(timeoutMs)} ms`));
    }, timeoutMs);
    const result = await this.#run(watch, limit.signal);
    clearTimeout(timer);
    this.#limits.delete(limit);
    watch.running = undefined;
    // Forgotten meanwhile: what was found concerns nobody.
    if (this.#watches.get(upstream) !== watch) return;

    this.#log.debug({ upstream: upstream.id, ...result }, 'health check');
    if (result.passed) upstream.checkPassed();
    else upstream.checkFailed(result.reason, result.answered);
    const hurried = !result.passed && upstream.health !== 'unhealthy';
    this.#schedule(watch, hurried ? Math.min(RECHECK_MS, intervalMs) : intervalMs);
  }

  async #run(watch: Watch, signal: AbortSignal): Promise<CheckResult> {
    const { config } = watch.upstream;
    const { health, paths } = this.#settings;
    switch (health.check.kind) {
      case 'tcp':
        return checkTcp(config, signal);
      case 'http':
        return checkHttp(config, health.check.path, signal);
      case 'handshake': {
        const path = paths[0] ?? '/socket.io/';
        const result = await checkHandshake(config, path, watch.version, signal);
        watch.version = result.version;
        if (result.introduction !== undefined) watch.upstream.introduce(result.introduction);
        return result;
      }
    }
  }
}
