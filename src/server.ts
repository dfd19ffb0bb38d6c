import { randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { isDeepStrictEqual } from 'node:util';
import { AdminServer } from './admin/admin.ts';
import type { Config } from './config/config.ts';
import { Counters } from './counters.ts';
import { UnstickyError } from './errors.ts';
import { Relays } from './forward/relays.ts';
import { TrustedProxies } from './forwarding.ts';
import { Listeners } from './listeners.ts';
import type { BoundAddress } from './listeners.ts';
import type { Logger } from './log.ts';
import { Router } from './router.ts';
import { Routes } from './routes.ts';
import { Directory } from './sessions/directory.ts';
import { createStore } from './sessions/create-store.ts';
import type { Parts, Settings } from './traffic/parts.ts';
import { Upgrades } from './traffic/upgrades.ts';
import { HealthChecker } from './upstreams/health.ts';
import { UpstreamPool } from './upstreams/pool.ts';
import type { Upstream } from './upstreams/upstream.ts';

/** What is read only at start, by its key in the file: a change needs a new process. */
const FIXED_SETTINGS: Readonly<Record<string, (config: Config) => unknown>> = {
  listen: (config) => config.listen,
  store: (config) => config.store,
  admin: (config) => config.admin,
  'limits.cachedBindings': (config) => config.limits.cachedBindings,
  'limits.memoryBindings': (config) => config.limits.memoryBindings,
  'timeouts.connect': (config) => config.timeouts.connectMs,
  'timeouts.upgrade': (config) => config.timeouts.upgradeMs,
  'timeouts.clientHeader': (config) => config.timeouts.clientHeaderMs,
  'timeouts.clientRequest': (config) => config.timeouts.clientRequestMs,
  'timeouts.keepAlive': (config) => config.timeouts.keepAliveMs,
};

/** A router that serves. */
export interface RunningRouter {
  readonly addresses: readonly BoundAddress[];
  /** Port of the admin listener, if there is one. */
  readonly adminPort: number | undefined;
  /** What `/api/v1/status` shows. */
  status(): object;
  /**
   * Takes over a new configuration without cutting anything. Returns the changed keys that only a
   * restart brings into force.
   */
  reconfigure(config: Config): readonly string[];
  /**
   * Stops accepting, lets polls end with `Connection: close` and tunnels go on, and ends what is
   * left after `timeouts.shutdown`. A second call waits for the first.
   */
  close(): Promise<void>;
  /** Ends everything now. */
  destroy(): Promise<void>;
}

/**
 * Starts a router. Rejects with `LISTEN_FAILED` (address), `STORE_REQUIRED` (no Redis and
 * `store.required`) or `CONFIG_INVALID` (certificate); then nothing is left open.
 */
export async function startRouter(config: Config, log: Logger): Promise<RunningRouter> {
  const server = new Server(config, log);
  try {
    await server.open();
  } catch (error) {
    await server.destroy();
    throw error;
  }
  return server;
}

class Server implements RunningRouter {
  adminPort: number | undefined;
  readonly #log: Logger;
  readonly #replica = randomBytes(6).toString('hex');
  readonly #parts: Parts;
  readonly #upgrades: Upgrades;
  readonly #router: Router;
  readonly #health: HealthChecker;
  readonly #responses = new Set<ServerResponse>();
  readonly #startedAt = new Date();
  #routes: Routes;
  #listeners: Listeners | undefined;
  #admin: AdminServer | undefined;
  #closing: Promise<void> | undefined;
  #onIdle: (() => void) | undefined;

  constructor(config: Config, log: Logger) {
    this.#log = log;
    this.#parts = this.#assemble(config);
    this.#upgrades = new Upgrades(this.#parts, () => {
      this.#noticeIdle();
    });
    this.#routes = this.#createRoutes(config);
    this.#router = new Router(this.#parts, this.#upgrades, this.#routes);
    const { pool } = this.#parts;
    this.#health = new HealthChecker({ pool, health: config.health, paths: config.paths, log });
  }

  get addresses(): readonly BoundAddress[] {
    return this.#listeners?.addresses ?? [];
  }

  async open(): Promise<void> {
    const { pool, directory, settings } = this.#parts;
    const { config } = settings;
    await directory.open();
    if (config.store.kind === 'redis' && config.store.required && !directory.available) {
      throw new UnstickyError('STORE_REQUIRED', directory.unavailableReason);
    }
    pool.all.forEach((upstream) => {
      this.#watch(upstream);
    });
    pool.onChange(({ added, removed }) => {
      for (const upstream of added) this.#watch(upstream);
      for (const upstream of removed) this.#parts.relays.retire(upstream);
    });
    this.#listeners = await Listeners.open(config, this.#handlers(), this.#log);
    if (config.admin !== undefined) {
      this.#admin = new AdminServer({
        ready: () => this.#closing === undefined,
        status: () => this.status(),
      });
      this.adminPort = await this.#admin.listen(config.admin, this.#log);
    }
    this.#health.start();
  }

  reconfigure(config: Config): readonly string[] {
    const old = this.#parts.settings.config;
    this.#parts.settings = settingsOf(config);
    this.#parts.pool.apply(config.upstreams, config.balance);
    this.#health.apply({ health: config.health, paths: config.paths });
    this.#routes = this.#createRoutes(config);
    this.#router.replaceRoutes(this.#routes).close();
    return Object.entries(FIXED_SETTINGS)
      .filter(([, read]) => !isDeepStrictEqual(read(old), read(config)))
      .map(([key]) => key);
  }

  status(): object {
    const { pool, directory, counters, relays, settings } = this.#parts;
    return {
      replica: this.#replica,
      startedAt: this.#startedAt.toISOString(),
      closing: this.#closing !== undefined,
      store: { kind: settings.config.store.kind, available: directory.available },
      upstreams: pool.all.map((upstream) => ({
        id: upstream.id,
        health: upstream.health,
        available: upstream.available,
        flavour: upstream.flavour,
        sessions: directory.load(upstream.id),
        handshakesInFlight: upstream.handshakesInFlight,
      })),
      sessions: directory.sessionCount,
      requestsInFlight: relays.running,
      tunnels: this.#upgrades.open,
      counters: Object.fromEntries(Object.entries(counters)),
      lookUps: Object.fromEntries(Object.entries(directory.counters)),
    };
  }

  async close(): Promise<void> {
    this.#closing ??= this.#shutDown();
    return this.#closing;
  }

  async destroy(): Promise<void> {
    const checksEnded = this.#health.destroy();
    this.#upgrades.destroy();
    this.#parts.relays.destroy();
    this.#routes.destroy();
    const listenersClosed = this.#listeners?.close();
    this.#listeners?.closeAllConnections();
    this.#onIdle?.();
    await Promise.all([checksEnded, listenersClosed, this.#admin?.close()]);
    await this.#parts.directory.close();
  }

  async #shutDown(): Promise<void> {
    const listenersClosed = this.#listeners?.close();
    const checksEnded = this.#health.close();
    this.#parts.relays.close();
    this.#routes.close();
    for (const res of this.#responses) {
      if (!res.headersSent) res.shouldKeepAlive = false;
    }
    await this.#idleOrLate(this.#parts.settings.config.timeouts.shutdownMs);
    await checksEnded;
    await this.destroy();
    await listenersClosed;
  }

  /** Resolves when no request and no tunnel is left, or after the grace time. */
  async #idleOrLate(graceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, graceMs);
      this.#onIdle = () => {
        clearTimeout(timer);
        resolve();
      };
      this.#noticeIdle();
    });
    this.#onIdle = undefined;
  }

  #noticeIdle(): void {
    if (this.#responses.size === 0 && this.#upgrades.running === 0) this.#onIdle?.();
  }

  #handlers(): Parameters<typeof Listeners.open>[1] {
    return {
      onRequest: (req: IncomingMessage, res: ServerResponse) => {
        this.#responses.add(res);
        res.once('close', () => {
          this.#responses.delete(res);
          if (this.#onIdle !== undefined) this.#noticeIdle();
        });
        if (this.#closing !== undefined) res.shouldKeepAlive = false;
        this.#router.onRequest(req, res);
      },
      onUpgrade: this.#router.onUpgrade,
      onRefused: (code, socket) => {
        if (code === 'CLIENT_GONE') return;
        this.#parts.counters.refused += 1;
        this.#log.debug({ code, ended: socket.destroyed }, 'connection refused');
      },
    };
  }

  /** A dead upstream's clients are told at once, not at their ping timeout. */
  #watch(upstream: Upstream): void {
    upstream.onDead(() => {
      this.#parts.relays.abort(upstream);
      this.#upgrades.abort(upstream);
    });
  }

  #assemble(config: Config): Parts {
    const log = this.#log;
    const now = (): number => performance.now();
    const directory = new Directory({
      store: createStore(config, this.#replica),
      replica: this.#replica,
      cachedBindings: config.limits.cachedBindings,
      log,
    });
    const pool = new UpstreamPool({
      upstreams: config.upstreams,
      policy: config.balance,
      load: (id) => directory.load(id),
      log,
    });
    const relays = new Relays({ connectTimeoutMs: config.timeouts.connectMs, now });
    return { settings: settingsOf(config), pool, directory, relays, counters: new Counters(), log };
  }

  #createRoutes(config: Config): Routes {
    return new Routes(config, (code, cause) => {
      this.#log.warn({ code, err: cause }, 'a request to a web application failed');
    });
  }
}

function settingsOf(config: Config): Settings {
  return { config, trustedProxies: new TrustedProxies(config.trustProxies) };
}
