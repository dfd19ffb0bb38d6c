import type { RedisStoreConfig } from '../../src/config/config.ts';
import { Directory } from '../../src/sessions/directory.ts';
import { GenerationClock } from '../../src/sessions/generation.ts';
import { RedisStore } from '../../src/sessions/redis-store.ts';
import type { Binding, SessionStore, StoreEvents } from '../../src/sessions/store.ts';
import { recordingLog } from '../helpers/recording-log.ts';

let unique = 0;

/** An id that no other replica and no other sid of this process has. */
export function uniqueId(kind: string): string {
  unique += 1;
  return `${kind}-${String(process.pid)}-${String(unique)}-padded-as-ids-are`;
}

const clock = new GenerationClock('test');

/** A binding with a generation later than any before. */
export function binding(sid: string, upstream: string, ttlMs = 60_000): Binding {
  return { sid, upstream, generation: clock.next(), ttlMs };
}

/** Configuration of a store on one server. */
export function singleConfig(
  address: number | string,
  overrides: Partial<RedisStoreConfig> = {},
): RedisStoreConfig {
  const url = typeof address === 'number' ? `redis://127.0.0.1:${String(address)}` : address;
  return { ...defaults, topology: { kind: 'single', url }, ...overrides };
}

const defaults: Omit<RedisStoreConfig, 'topology'> = {
  kind: 'redis',
  username: undefined,
  password: undefined,
  database: 0,
  tls: undefined,
  keyPrefix: 'unsticky:',
  commandTimeoutMs: 250,
  required: false,
};

/** What a store told, in order, and a way to wait for it. */
export class RecordedEvents implements StoreEvents {
  readonly lines: string[] = [];
  readonly peers = new Map<string, ReadonlyMap<string, number>>();
  readonly #waiting = new Set<() => void>();

  onForget(sid: string): void {
    this.#note(`forget ${sid}`);
  }

  onGap(): void {
    this.#note('gap');
  }

  onPeerCounts(peer: string, counts: ReadonlyMap<string, number> | undefined): void {
    if (counts === undefined) this.peers.delete(peer);
    else this.peers.set(peer, counts);
    this.#note(`peer ${peer}`);
  }

  onAvailability(available: boolean, reason: string | undefined): void {
    this.#note(available ? 'available' : `unavailable: ${reason ?? ''}`);
  }

  /** Resolves once `condition` holds, checked at each event. */
  async until(condition: () => boolean): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve) => {
      const check = (): void => {
        if (!condition()) return;
        this.#waiting.delete(check);
        resolve();
      };
      this.#waiting.add(check);
    });
  }

  /** Resolves at the next line that starts so. */
  async next(start: string): Promise<void> {
    const seen = this.lines.length;
    await this.until(() => this.lines.slice(seen).some((line) => line.startsWith(start)));
  }

  #note(line: string): void {
    this.lines.push(line);
    for (const check of this.#waiting) check();
  }
}

/** A Redis store, open, and what it told. */
export async function openStore(
  config: RedisStoreConfig,
  replica: string = uniqueId('replica'),
): Promise<{ store: RedisStore; events: RecordedEvents; replica: string }> {
  const store = new RedisStore({ config, replica });
  const events = new RecordedEvents();
  await store.open(events);
  return { store, events, replica };
}

/** A directory in front of a store, open. */
export async function openDirectory(
  make: (replica: string) => SessionStore,
  options: { cachedBindings?: number; now?: () => number } = {},
): Promise<Directory> {
  const replica = uniqueId('replica');
  const directory = new Directory({
    store: make(replica),
    replica,
    cachedBindings: 10_000,
    log: recordingLog().log,
    ...options,
  });
  await directory.open();
  return directory;
}
