import { z } from 'zod';
import { formatHostPort, parseRedisAddress, parseRedisUrl } from './address.ts';
import type { RedisStoreConfig, StoreConfig } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import { duration, fileName, mapping, nonEmpty, oneOrMany, text, wholeNumber } from './fields.ts';
import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';
import { parseKeyPrefix } from './paths.ts';

const ADDRESS = 'an address such as 10.0.0.5:6379';
const STORE = 'memory, a redis:// or rediss:// URL, or {redis: {…}}';

const redisSchema = mapping({
  url: text('a URL such as redis://10.0.0.5:6379', parseRedisUrl)
    .optional()
    .describe('A single server: redis:// or rediss:// (TLS).'),
  sentinels: oneOrMany(text(ADDRESS, parseRedisAddress), ADDRESS)
    .optional()
    .describe('Sentinels, host:port.'),
  name: nonEmpty('a name').optional().describe('Name that the sentinels give their master.'),
  sentinelPassword: nonEmpty('a password').optional().describe('Password of the sentinels.'),
  cluster: oneOrMany(text(ADDRESS, parseRedisAddress), ADDRESS)
    .optional()
    .describe('Some nodes of a cluster, host:port.'),
  username: nonEmpty('a user name').optional().describe('User, if not in the URL.'),
  password: nonEmpty('a password').optional().describe('Password, if not in the URL.'),
  database: wholeNumber(0, 65_535)
    .optional()
    .describe(`Database, if not in the URL. Default: ${String(DEFAULTS.redis.database)}.`),
  tls: z
    .union([z.literal(true), mapping({ ca: fileName().describe('Authorities to trust, PEM.') })], {
      error: 'true, or {ca: file}',
    })
    .optional()
    .describe('TLS to Redis; true trusts the authorities of the system.'),
  keyPrefix: text('a text', parseKeyPrefix)
    .prefault(DEFAULTS.redis.keyPrefix)
    .describe('Prefix of every key and channel.'),
  commandTimeout: duration()
    .prefault(DEFAULTS.redis.commandTimeout)
    .describe('Limit of one command.'),
});

type RedisSettings = z.output<typeof redisSchema>;

/** `store`. */
export const storeSchema: z.ZodType<StoreConfig> = z.union(
  [
    text(STORE, parseStoreText),
    mapping({
      redis: redisSchema,
      required: z
        .boolean({ error: 'true or false' })
        .prefault(DEFAULTS.redis.required)
        .describe('Refuse to start when Redis cannot be reached.'),
    }).transform(({ redis, required }, context): StoreConfig => {
      const topology = topologyOf(redis);
      for (const { key, message } of conflicts(redis)) {
        const path = key === undefined ? ['redis'] : ['redis', key];
        context.addIssue({ code: 'custom', message, path, params: { complete: true } });
      }
      return topology === undefined ? z.NEVER : redisStore(redis, topology, required);
    }),
  ],
  { error: STORE },
);

function parseStoreText(value: string): Parsed<StoreConfig> {
  if (value === 'memory') return accept({ kind: 'memory' });
  if (!/^rediss?:/i.test(value)) return refuse(STORE);
  const url = parseRedisUrl(value);
  if (!url.ok) return url;
  const redis = redisSchema.parse({ url: value });
  const topology = topologyOf(redis);
  return topology === undefined
    ? refuse(STORE)
    : accept(redisStore(redis, topology, DEFAULTS.redis.required));
}

function topologyOf(redis: RedisSettings): RedisStoreConfig['topology'] | undefined {
  const { url, sentinels, name, sentinelPassword, cluster } = redis;
  if (url !== undefined) {
    const scheme = url.tls || redis.tls !== undefined ? 'rediss' : 'redis';
    return { kind: 'single', url: `${scheme}://${formatHostPort(url)}` };
  }
  if (cluster !== undefined) return { kind: 'cluster', nodes: cluster };
  if (sentinels === undefined || name === undefined) return undefined;
  return { kind: 'sentinel', sentinels, name, sentinelPassword };
}

function redisStore(
  redis: RedisSettings,
  topology: RedisStoreConfig['topology'],
  required: boolean,
): RedisStoreConfig {
  const usesTls = redis.tls !== undefined || redis.url?.tls === true;
  const ca = typeof redis.tls === 'object' ? redis.tls.ca : undefined;
  return {
    kind: 'redis',
    topology,
    username: redis.url?.username ?? redis.username,
    password: redis.url?.password ?? redis.password,
    database: redis.url?.database ?? redis.database ?? DEFAULTS.redis.database,
    tls: usesTls ? { ca } : undefined,
    keyPrefix: redis.keyPrefix,
    commandTimeoutMs: redis.commandTimeout,
    required,
  };
}

interface Conflict {
  /** Key under `store.redis`, or the whole of it. */
  readonly key: string | undefined;
  readonly message: string;
}

function conflicts(redis: RedisSettings): readonly Conflict[] {
  const { url, sentinels, cluster } = redis;
  const found: Conflict[] = [];
  const topologies = [url, sentinels, cluster].filter((topology) => topology !== undefined);
  if (topologies.length !== 1) {
    found.push({ key: undefined, message: 'needs exactly one of url, sentinels and cluster' });
  }
  if (sentinels !== undefined && redis.name === undefined) {
    found.push({ key: undefined, message: 'needs name, the name of the master, with sentinels' });
  }
  for (const key of ['name', 'sentinelPassword'] as const) {
    if (redis[key] === undefined || sentinels !== undefined) continue;
    found.push({ key, message: 'means something only with sentinels' });
  }
  for (const key of ['username', 'password', 'database'] as const) {
    if (redis[key] === undefined || url?.[key] === undefined) continue;
    found.push({ key, message: 'stands in the URL already' });
  }
  if (cluster !== undefined && (redis.database ?? 0) !== 0) {
    found.push({ key: 'database', message: 'a cluster has only database 0' });
  }
  return found;
}
