import { DEFAULTS } from './defaults.ts';
import type { Path } from './issues.ts';
import { formatPath } from './issues.ts';

/** What the command line may set. */
export interface Flags {
  readonly listen?: readonly string[];
  readonly upstream?: readonly string[];
  readonly store?: string;
  readonly admin?: string;
  readonly workers?: string;
  readonly logLevel?: string;
}

/** Environment variables by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A raw configuration after flags and environment. */
export interface Overrides {
  readonly value: unknown;
  /** The flag or variable that a value came from; undefined if it stands in the file. */
  sourceOf(path: Path): string | undefined;
}

interface Setting {
  readonly path: string;
  readonly source: string;
  readonly value: unknown;
}

const PASSWORD = 'store.redis.password';

/** Keys of `store.redis` that stay when a flag or the environment names another server. */
const KEPT_REDIS_KEYS = ['tls', 'keyPrefix', 'commandTimeout'];

/** Lays environment and then flags over what the file says. Variables it does not know are ignored. */
export function override(file: unknown, flags: Flags, environment: Environment): Overrides {
  if (typeof file !== 'object' || file === null) return { value: file, sourceOf: () => undefined };
  const settings = [
    ...fromEnvironment(environment),
    ...fromFlags(flags),
    // Last, because the password belongs to whichever Redis has been named.
    ...variable(environment, PASSWORD, 'UNSTICKY_REDIS_PASSWORD'),
  ];
  let value = file as Record<string, unknown>;
  const sources = new Map<string, string>();
  for (const setting of settings) {
    value = apply(value, setting);
    sources.set(setting.path, setting.source);
  }
  return {
    value,
    sourceOf: (path) => {
      for (let length = path.length; length > 0; length -= 1) {
        const source = sources.get(formatPath(path.slice(0, length)));
        if (source !== undefined) return source;
      }
      return undefined;
    },
  };
}

function fromFlags(flags: Flags): readonly Setting[] {
  return [
    setting('listen', '--listen', flags.listen),
    setting('upstreams', '--upstream', flags.upstream),
    setting('store', '--store', flags.store),
    setting('admin', '--admin', flags.admin),
    setting('workers', '--workers', flags.workers === '1' ? 1 : flags.workers),
    setting('log.level', '--log-level', flags.logLevel),
  ].flat();
}

function fromEnvironment(environment: Environment): readonly Setting[] {
  return [
    list(environment, 'listen', 'UNSTICKY_LISTEN'),
    list(environment, 'upstreams', 'UNSTICKY_UPSTREAMS'),
    variable(environment, 'store', 'UNSTICKY_STORE'),
    variable(environment, 'admin', 'UNSTICKY_ADMIN'),
    variable(environment, 'log.level', 'UNSTICKY_LOG_LEVEL'),
  ].flat();
}

function variable(environment: Environment, path: string, name: string): readonly Setting[] {
  return setting(path, name, environment[name] === '' ? undefined : environment[name]);
}

/** Items in a variable stand between commas or spaces. */
function list(environment: Environment, path: string, name: string): readonly Setting[] {
  return variable(environment, path, name).map((found) => ({
    ...found,
    value: String(found.value)
      .split(/[\s,]+/)
      .filter((item) => item !== ''),
  }));
}

function setting(path: string, source: string, value: unknown): readonly Setting[] {
  return value === undefined ? [] : [{ path, source, value }];
}

function apply(raw: Record<string, unknown>, { path, value }: Setting): Record<string, unknown> {
  if (path === 'store') return { ...raw, store: anotherStore(raw['store'], value) };
  if (path === PASSWORD) return { ...raw, store: storeWithPassword(raw['store'], value) };
  const [section = '', key] = path.split('.');
  if (key === undefined) return { ...raw, [section]: value };
  const child = raw[section] ?? {};
  // A section of the wrong kind stays as it is, so that its own problem is told.
  return isMapping(child) ? { ...raw, [section]: { ...child, [key]: value } } : raw;
}

/** Another Redis URL keeps what the file says about the use of Redis. */
function anotherStore(store: unknown, value: unknown): unknown {
  if (!isMapping(store) || !isMapping(store['redis']) || value === DEFAULTS.store) return value;
  const kept = Object.entries(store['redis']).filter(([key]) => KEPT_REDIS_KEYS.includes(key));
  return { ...store, redis: { ...Object.fromEntries(kept), url: value } };
}

function storeWithPassword(store: unknown, password: unknown): unknown {
  if (typeof store === 'string' && store !== DEFAULTS.store) {
    return { redis: { url: store, password } };
  }
  if (!isMapping(store) || !isMapping(store['redis'])) return store;
  return { ...store, redis: { ...store['redis'], password } };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
