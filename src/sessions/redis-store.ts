import type { RedisStoreConfig } from '../config/config.ts';
import { UnstickyError } from '../errors.ts';
import { inTime, TIMED_OUT } from './in-time.ts';
import { Availability } from './redis-availability.ts';
import type { CommandKind } from './redis-availability.ts';
import { RedisBus } from './redis-bus.ts';
import { createRedisClients } from './redis-client.ts';
import type { RedisClients } from './redis-client.ts';
import { decodeBinding, encodeBinding } from './redis-scripts.ts';
import type {
  Binding,
  ClaimOptions,
  ClaimResult,
  SessionCounts,
  SessionStore,
  StoreEvents,
  TouchResult,
} from './store.ts';

/** Longest that {@link RedisStore.open} waits for a connection. */
const OPEN_TIMEOUT_MS = 2_000;
/** While Redis cannot be used it is asked this often: without traffic nobody else would notice. */
const PROBE_MS = 500;

/** What a {@link RedisStore} is made of. */
export interface RedisStoreOptions {
  readonly config: RedisStoreConfig;
  /** Id of this process, unlike any other's now or before; no spaces. */
  readonly replica: string;
  /** Monotonic clock in milliseconds, default `performance.now`. */
  readonly now?: () => number;
}

/**
 * Bindings shared by every replica through Redis 5 or later: a single server, Sentinel or Cluster.
 * A verb is one round trip, and fails within `commandTimeoutMs` if Redis does not answer.
 */
export class RedisStore implements SessionStore {
  readonly #options: RedisStoreOptions;
  readonly #clients: RedisClients;
  readonly #channel: string;
  readonly #now: () => number;
  #availability: Availability;
  #bus: RedisBus | undefined;
  #lastError = 'connection closed';
  #probe: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(options: RedisStoreOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
    this.#clients = createRedisClients(options.config);
    this.#channel = `${options.config.keyPrefix}bus`;
    this.#availability = this.#judge(() => undefined);
  }

  async open(events: StoreEvents): Promise<void> {
    const { commands, subscriber } = this.#clients;
    this.#availability = this.#judge((available, reason) => {
      this.#onAvailability(events, available, reason);
    });
    this.#watch();
    const ready = new Promise<void>((resolve) => commands.once('ready', resolve));
    commands.connect().catch(() => undefined);
    const bus = new RedisBus({
      replica: this.#options.replica,
      channel: this.#channel,
      connect: subscriber,
      publish: (channel, message) => commands.publish(channel, message),
      countsReceivers: !commands.isCluster,
      events,
      now: this.#now,
    });
    this.#bus = bus;
    await settled(Promise.all([ready, bus.known]), OPEN_TIMEOUT_MS);
    if (!this.#availability.available) this.#availability.disconnected(this.#lastError);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#probe);
    await this.#bus?.close();
    this.#clients.commands.disconnect();
  }

  async claim(binding: Binding, { overwrite, announce }: ClaimOptions): Promise<ClaimResult> {
    const wait = this.#openBus().awaitForget(binding.sid);
    try {
      const answer = await this.#run('write', () =>
        this.#clients.commands.claimBinding(
          this.#key(binding.sid),
          encodeBinding(binding),
          binding.ttlMs,
          binding.upstream,
          overwrite ? '1' : '0',
          announce ? '1' : '0',
          this.#channel,
          wait.message,
        ),
      );
      const by = decodeBinding(binding.sid, answer);
      if (by !== undefined) return { kind: 'held', by };
      if (answer === 1) await wait.all();
      return { kind: 'claimed' };
    } finally {
      wait.done();
    }
  }

  async ownerOf(sid: string): Promise<Binding | undefined> {
    const value = await this.#run('read', () => this.#clients.commands.get(this.#key(sid)));
    return decodeBinding(sid, value);
  }

  async touch(binding: Binding): Promise<TouchResult> {
    const { sid, generation, ttlMs } = binding;
    const value = encodeBinding(binding);
    const answer = await this.#run('write', () =>
      this.#clients.commands.touchBinding(this.#key(sid), generation, value, ttlMs),
    );
    const to = decodeBinding(sid, answer);
    if (to !== undefined) return { kind: 'moved', to };
    return { kind: answer === 1 ? 'touched' : 'restored' };
  }

  async release({ sid, generation }: Binding): Promise<boolean> {
    const message = this.#openBus().forgetMessage(sid);
    const answer = await this.#run('write', () =>
      this.#clients.commands.releaseBinding(this.#key(sid), generation, this.#channel, message),
    );
    return answer === 1;
  }

  publishCounts(counts: SessionCounts): void {
    this.#bus?.publishCounts(counts);
  }

  async #run<T>(kind: CommandKind, command: () => Promise<T>): Promise<T> {
    if (!this.#availability.admits()) throw unavailable('commands time out');
    try {
      const answer = await inTime(command(), this.#options.config.commandTimeoutMs);
      this.#availability.succeeded(kind);
      return answer;
    } catch (error) {
      throw unavailable(this.#judgeFailure(kind, error));
    }
  }

  #onAvailability(events: StoreEvents, available: boolean, reason: string | undefined): void {
    if (this.#closed) return;
    clearInterval(this.#probe);
    if (!available) this.#probe = setInterval(() => void this.#ping(), PROBE_MS).unref();
    events.onAvailability(available, reason);
  }

  async #ping(): Promise<void> {
    try {
      await this.#run('read', () => this.#clients.commands.ping());
    } catch {
      // Still away.
    }
  }

  #judgeFailure(kind: CommandKind, error: unknown): string {
    const { name, message } = error instanceof Error ? error : new Error(String(error));
    const reason = this.#withoutSecrets(message);
    if (name === 'ReplyError') this.#availability.refused(kind, reason);
    if (message === TIMED_OUT) this.#availability.timedOut();
    return reason;
  }

  #judge(onChange: StoreEvents['onAvailability']): Availability {
    return new Availability({
      onChange,
      breaker: this.#options.config.topology.kind !== 'cluster',
      now: this.#now,
    });
  }

  #watch(): void {
    const { commands } = this.#clients;
    const remember = (error: Error): void => {
      this.#lastError = this.#withoutSecrets(error.message);
    };
    commands.on('error', remember);
    commands.on('node error', remember);
    commands.on('ready', () => {
      this.#availability.connected();
    });
    commands.on('close', () => {
      this.#availability.disconnected(this.#lastError);
    });
  }

  #openBus(): RedisBus {
    if (this.#bus === undefined) throw new Error('the store is used before open()');
    return this.#bus;
  }

  #key(sid: string): string {
    return `${this.#options.config.keyPrefix}s:${sid}`;
  }

  #withoutSecrets(text: string): string {
    const { password, topology } = this.#options.config;
    const fromUrl =
      topology.kind === 'single' ? decodeURIComponent(new URL(topology.url).password) : '';
    const sentinel = topology.kind === 'sentinel' ? topology.sentinelPassword : undefined;
    return [password, fromUrl, sentinel].reduce<string>(
      (safe, secret) => (secret ? safe.replaceAll(secret, '***') : safe),
      text,
    );
  }
}

/** Without a cause: ioredis's errors carry the command's arguments, among them sids and passwords. */
function unavailable(reason: string): UnstickyError {
  return new UnstickyError('STORE_UNAVAILABLE', reason);
}

async function settled(promise: Promise<unknown>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([promise, timeout]);
  clearTimeout(timer);
}
