import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { Cluster, Redis } from 'ioredis';
import type { ClusterOptions, RedisOptions } from 'ioredis';
import type { RedisAddress, RedisStoreConfig } from '../config/config.ts';
import { SCRIPTS } from './redis-scripts.ts';
import type { ScriptCommands } from './redis-scripts.ts';

/** A client for commands; connects when told to. */
export type CommandClient = (Redis | Cluster) & ScriptCommands;

/** The connections of one store. */
export interface RedisClients {
  readonly commands: CommandClient;
  /** A fresh connection for subscriptions; it does not connect again by itself but ends. */
  readonly subscriber: () => Redis;
}

const CONNECT_TIMEOUT_MS = 1_000;
/**
 * A socket that owes an answer for this long is destroyed. The command timeout alone leaves a
 * frozen server "ready" for ever: with Sentinel the client then never asks for the new master.
 */
const SOCKET_TIMEOUT_MS = 1_000;
/** After `end()` a frozen peer never closes; destroy then. */
const DISCONNECT_TIMEOUT_MS = 100;
const RETRY_STEP_MS = 50;
const RETRY_MAX_MS = 500;

/** Delay before the n-th try to connect again in milliseconds: 50, 100 … 500, of that 50 to 100 %. */
export function retryDelayMs(attempt: number): number {
  const delay = Math.min(attempt * RETRY_STEP_MS, RETRY_MAX_MS);
  return Math.round(delay * (0.5 + Math.random() / 2));
}

/**
 * Builds the clients without connecting them. ioredis's defaults would hold commands for ten seconds
 * and more while Redis is away; here a command is answered or fails within `commandTimeoutMs`.
 */
export function createRedisClients(config: RedisStoreConfig): RedisClients {
  const { topology } = config;
  switch (topology.kind) {
    case 'single':
      return redisClients({ ...connectionOptions(config), ...urlOptions(topology.url, config) });
    case 'sentinel':
      return redisClients({
        ...connectionOptions(config),
        sentinels: topology.sentinels.map(({ host, port }) => ({ host, port })),
        name: topology.name,
        ...optional('sentinelPassword', topology.sentinelPassword),
        sentinelRetryStrategy: retryDelayMs,
        sentinelCommandTimeout: CONNECT_TIMEOUT_MS,
        ...sentinelTls(config),
      });
    case 'cluster':
      return clusterClients(topology.nodes, config);
  }
}

function redisClients(options: RedisOptions): RedisClients {
  const commands = new Redis({ ...options, retryStrategy: retryDelayMs, scripts: SCRIPTS });
  watch(commands);
  return {
    commands: commands as Redis & ScriptCommands,
    subscriber: () =>
      watch(new Redis({ ...options, retryStrategy: null, sentinelRetryStrategy: () => null })),
  };
}

function clusterClients(nodes: readonly RedisAddress[], config: RedisStoreConfig): RedisClients {
  const redisOptions = connectionOptions(config);
  const options: ClusterOptions = {
    redisOptions,
    lazyConnect: true,
    scripts: SCRIPTS,
    enableOfflineQueue: false,
    clusterRetryStrategy: retryDelayMs,
    slotsRefreshTimeout: CONNECT_TIMEOUT_MS,
    slotsRefreshInterval: 5_000,
    // While a node is away each try waits this long without a timeout of its own.
    maxRedirections: 4,
    retryDelayOnFailover: 50,
    retryDelayOnClusterDown: 50,
  };
  const commands = new Cluster([...nodes], options);
  commands.on('error', ignore);
  commands.on('+node', watch);
  return {
    commands: commands as Cluster & ScriptCommands,
    // Not the Cluster's own subscriber: that one neither tells when it changed nodes nor notices
    // a frozen one. Any node will do, a PUBLISH reaches them all.
    subscriber: () => {
      const known = commands
        .nodes()
        .map(({ options: { host = '', port = 0 } }) => ({ host, port }));
      const { host, port } = pick(known.length > 0 ? known : nodes);
      return watch(new Redis({ ...redisOptions, host, port, retryStrategy: null }));
    },
  };
}

function connectionOptions(config: RedisStoreConfig): RedisOptions {
  const tls = tlsOptions(config);
  return {
    ...optional('username', config.username),
    ...optional('password', config.password),
    ...optional('tls', tls),
    db: config.database,
    lazyConnect: true,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    autoResubscribe: false,
    socketTimeout: SOCKET_TIMEOUT_MS,
    connectTimeout: CONNECT_TIMEOUT_MS,
    disconnectTimeout: DISCONNECT_TIMEOUT_MS,
    keepAlive: 30_000,
    // A master that was demoted: ask Sentinel again.
    reconnectOnError: (error) => error.message.startsWith('READONLY'),
  };
}

/** What the configuration says beats what the URL says. */
function urlOptions(text: string, config: RedisStoreConfig): RedisOptions {
  const url = new URL(text);
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const username = config.username ?? decodeURIComponent(url.username);
  const password = config.password ?? decodeURIComponent(url.password);
  const encrypted = url.protocol === 'rediss:' || config.tls !== undefined;
  return {
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    db: config.database || Number(url.pathname.slice(1)),
    ...(username !== '' && { username }),
    ...(password !== '' && { password }),
    ...(encrypted && {
      tls: { ...tlsOptions(config), ...(isIP(host) === 0 && { servername: host }) },
    }),
  };
}

function sentinelTls(config: RedisStoreConfig): RedisOptions {
  const tls = tlsOptions(config);
  return tls === undefined ? {} : { enableTLSForSentinelMode: true, sentinelTLS: tls };
}

function tlsOptions({ tls }: RedisStoreConfig): ConnectionOptions | undefined {
  if (tls === undefined) return undefined;
  return tls.ca === undefined ? {} : { ca: readFileSync(tls.ca) };
}

/**
 * Errors without a listener would be printed by ioredis; what matters arrives with `close`.
 * ioredis 5 also leaves the old socket's timer running across a reconnect, where it destroys the
 * new, healthy socket.
 */
function watch(client: Redis): Redis {
  client.on('error', ignore);
  client.on('close', () => {
    clearTimeout(client['socketTimeoutTimer'] as NodeJS.Timeout | undefined);
    client['socketTimeoutTimer'] = undefined;
  });
  return client;
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}

function pick<T>(items: readonly T[]): T {
  const item = items[Math.floor(Math.random() * items.length)];
  if (item === undefined) throw new RangeError('a Cluster needs at least one node');
  return item;
}

function ignore(): void {
  // See watch().
}
