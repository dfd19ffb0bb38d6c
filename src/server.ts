import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { AdminServer } from './admin/admin.ts';
import type { Config } from './config/config.ts';
import { Counters } from './counters.ts';
import { UnstickyError } from './errors.ts';
import { Relays } from './forward/relays.ts';
import { TrustedProxies } from './forwarding.ts';
import { Listeners } from './listeners.ts';
import type { BoundAddress } from './listeners.ts';
import type { Logger } from './log.ts';
import { keysThatNeedRestart } from './restart.ts';
import { Router } from './router.ts';
import { Routes } from './routes.ts';
import { Directory } from './sessions/directory.ts';
import { createStore } from './sessions/create-store.ts';
import { OpenWork } from './traffic/open-work.ts';
import type { Parts, Settings } from './traffic/parts.ts';
import { Upgrades } from './traffic/upgrades.ts';
import { HealthChecker } from './upstreams/health.ts';
import { UpstreamPool } from './upstreams/pool.ts';
import type { Upstream } from './upstreams/upstream.ts';

/**
 * At the end, connections that have not sent a whole request header yet get this time for it: a
 * balancer in front may have chosen this replica a moment before.
 */
const LAST_REQUESTS_MS = 500;

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
  readonly #work = new OpenWork();
  readonly #startedAt = new Date();
  #routes: Routes;
  #listeners: Listeners | undefined;
  #admin: AdminServer | undefined;
  #closing: Promise<void> | undefined;

  constructor(config: Config, log: Logger) {
    this.#log = log;
    this.#parts = this.#assemble(config);
    this.#upgrades = new Upgrades(this.#parts);
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
    return keysThatNeedRestart(old, config);
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
    // Handshakes answer their clients a turn later than the rest.
    await nextTurn();
    this.#listeners?.closeAllConnections();
    this.#work.destroy();
    await Promise.all([checksEnded, listenersClosed, this.#admin?.close()]);
    await this.#parts.directory.close();
  }

  async #shutDown(): Promise<void> {
    const listenersClosed = this.#listeners?.close();
    const checksEnded = this.#health.close();
    this.#parts.relays.close();
    this.#routes.close();
    this.#work.close();
    const endsAtMs = performance.now() + this.#parts.settings.config.timeouts.shutdownMs;
    const leftMs = (): number => Math.max(0, endsAtMs - performance.now());
    await settledWithin(leftMs(), this.#work.idle());
    this.#listeners?.closeIdleConnections();
    await settledWithin(Math.min(LAST_REQUESTS_MS, leftMs()), listenersClosed);
    await settledWithin(leftMs(), this.#work.idle());
    await checksEnded;
    await this.destroy();
  }

  #handlers(): Parameters<typeof Listeners.open>[1] {
    return {
      onRequest: (req, res) => {
        this.#work.addResponse(res);
        this.#router.onRequest(req, res);
      },
      onUpgrade: (req, socket, head) => {
        this.#work.addUpgrade(socket);
        this.#router.onUpgrade(req, socket, head);
      },
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
      this.#parts.directory.forgetUpstream(upstream.id);
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

/** Resolves when the promise does, at the latest after this time. */
async function settledWithin(ms: number, promise: Promise<unknown> | undefined): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

function settingsOf(config: Config): Settings {
  return { config, trustedProxies: new TrustedProxies(config.trustProxies) };
}
