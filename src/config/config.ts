/** Where clients connect. */
export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  readonly tls: TlsFiles | undefined;
}

/** PEM files of a listener's certificate chain and key. */
export interface TlsFiles {
  readonly cert: string;
  readonly key: string;
}

/** One Socket.IO server behind the router. */
export interface UpstreamConfig {
  /** Stable name, stored in Redis in place of the address. Default `host:port`. */
  readonly id: string;
  readonly url: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  /** Share of new sessions, 1 to 1000. Default 1. */
  readonly weight: number;
}

/** How a new session's upstream is chosen. */
export type BalancePolicy = 'least-sessions' | 'round-robin' | 'random';

/** Where bindings live. */
export type StoreConfig = { readonly kind: 'memory' } | RedisStoreConfig;

/** One Redis server, sentinel or cluster node. */
export interface RedisAddress {
  readonly host: string;
  readonly port: number;
}

/** Bindings in Redis; credentials stand in their own fields, never in a URL. */
export interface RedisStoreConfig {
  readonly kind: 'redis';
  readonly topology:
    /** `redis://host:port` or `rediss://host:port`, nothing else. */
    | { readonly kind: 'single'; readonly url: string }
    | {
        readonly kind: 'sentinel';
        readonly sentinels: readonly RedisAddress[];
        readonly name: string;
        readonly sentinelPassword: string | undefined;
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly RedisAddress[] };
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number;
  /** TLS to Redis; `ca` is a PEM file, undefined means the system's authorities. */
  readonly tls: { readonly ca: string | undefined } | undefined;
  /** Prefix of every key and channel. Default `unsticky:`. */
  readonly keyPrefix: string;
  /** Limit of one command in milliseconds. Default 250. */
  readonly commandTimeoutMs: number;
  /** Refuse to start when Redis cannot be reached. Default false: warn and keep trying. */
  readonly required: boolean;
}

/** What is not Engine.IO; the first route whose path is a prefix of the request's wins. */
export type RouteConfig =
  | { readonly kind: 'proxy'; readonly path: string; readonly urls: readonly string[] }
  | { readonly kind: 'static'; readonly path: string; readonly directory: string };

/** How an upstream's health is asked. */
export type HealthCheck =
  | { readonly kind: 'handshake' }
  | { readonly kind: 'tcp' }
  | { readonly kind: 'http'; readonly path: string };

/**
 * The whole configuration after loading: frozen, no optional field, every unit in its name.
 * Defaults and limits of each field stand in docs/configuration.md.
 */
export interface Config {
  readonly listen: readonly ListenAddress[];
  readonly store: StoreConfig;
  /** Engine.IO paths, each with leading and trailing slash. */
  readonly paths: readonly string[];
  readonly upstreams: readonly UpstreamConfig[];
  readonly balance: BalancePolicy;
  /**
   * `withhold` keeps an `io` cookie or header from handshakes, so that a netty-socketio server
   * gives every tab a sid of its own; `pass` leaves both untouched.
   */
  readonly ioCookie: 'withhold' | 'pass';
  /** Address of the admin listener (loopback only), if any. */
  readonly admin: ListenAddress | undefined;
  readonly routes: readonly RouteConfig[];
  /** CIDR ranges whose forwarding headers are believed. */
  readonly trustProxies: readonly string[];
  readonly limits: {
    readonly bodyBytes: number;
    readonly headerLines: number;
    readonly cachedBindings: number;
    readonly memoryBindings: number;
  };
  readonly timeouts: {
    readonly connectMs: number;
    /** Time an upstream may take to begin its answer to a handshake. */
    readonly handshakeMs: number;
    /** Time an upstream may take to begin any other answer; a poll may take its session's longer time. */
    readonly upstreamMs: number;
    /** Time an upstream may take to answer an upgrade. */
    readonly upgradeMs: number;
    /** Time a client may take to send its request header. */
    readonly clientHeaderMs: number;
    /** Time a client may take to send its whole request. */
    readonly clientRequestMs: number;
    /** Time an idle client connection is kept. */
    readonly keepAliveMs: number;
    /** Time that tunnels and polls get to end by themselves at SIGTERM. */
    readonly shutdownMs: number;
  };
  readonly health: {
    readonly intervalMs: number;
    readonly timeoutMs: number;
    readonly check: HealthCheck;
  };
  readonly log: { readonly level: LogLevel; readonly access: boolean };
}

/** Least important kind of line that is written. */
export type LogLevel = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace' | 'silent';
