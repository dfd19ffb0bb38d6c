import { isIP, isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { RedisAddress } from './config.ts';
import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';

/** Host name or IP address (IPv6 without its brackets) and port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** A Redis URL taken apart; the password exists nowhere else. */
export interface RedisUrl extends RedisAddress {
  readonly tls: boolean;
  readonly username: string | undefined;
  readonly password: string | undefined;
  readonly database: number | undefined;
}

const MAX_PORT = 65_535;
const HOST_NAME =
  /^(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,62})?(\.[a-z0-9_]([a-z0-9_-]{0,62})?)*\.?$/i;
const EXPECTED_LISTEN = 'an address such as 127.0.0.1:8099, [::1]:8099, :8099 or 8099';
const EXPECTED_URL = 'a URL such as http://127.0.0.1:10015';

/**
 * Reads where to listen: `host:port`, `[ipv6]:port`, `:port` (all IPv4 addresses) or `port`
 * (127.0.0.1). Port 0 lets the system choose.
 */
export function parseListenAddress(text: string): Parsed<HostPort> {
  if (text.includes('/')) {
    return refuse(
      EXPECTED_LISTEN,
      'an address has no scheme and no path; Unix sockets are not supported',
    );
  }
  if (/^\d+$/.test(text)) return hostPort('127.0.0.1', text, EXPECTED_LISTEN);
  if (/^:\d+$/.test(text)) return hostPort('0.0.0.0', text.slice(1), EXPECTED_LISTEN);
  return parseHostPort(text, EXPECTED_LISTEN);
}

/** Reads `host:port` of a Redis server; the port is 1 to 65535. */
export function parseRedisAddress(text: string): Parsed<RedisAddress> {
  const expected = 'an address such as 10.0.0.5:6379';
  const parsed = parseHostPort(text, expected);
  return parsed.ok && parsed.value.port === 0 ? refuse(expected) : parsed;
}

function parseHostPort(text: string, expected: string): Parsed<HostPort> {
  const match = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d+)$/.exec(text);
  if (match === null) {
    return refuse(expected, isIP(text) === 6 ? `write [${text}]:port` : undefined);
  }
  const [, ipv6, name, port] = match;
  const host = ipv6 ?? name ?? '';
  if (ipv6 === undefined ? !isHost(host) : isIP(ipv6) !== 6) return refuse(expected);
  return hostPort(host, port ?? '', expected);
}

function hostPort(host: string, digits: string, expected: string): Parsed<HostPort> {
  const port = Number(digits);
  return port <= MAX_PORT
    ? accept({ host, port })
    : refuse(expected, `a port is at most ${String(MAX_PORT)}`);
}

function isHost(text: string): boolean {
  // A name of digits and dots that is no IPv4 address would be asked of the name server.
  return /^[\d.]+$/.test(text) ? isIPv4(text) : HOST_NAME.test(text);
}

/** An upstream's URL taken apart. */
export interface UpstreamUrl extends HostPort {
  /** Normalised: scheme, host and port, no trailing slash. */
  readonly url: string;
  readonly tls: boolean;
}

/**
 * Reads an upstream's URL: `http://` or `https://`, host, optional port; no path, query or
 * credentials, because every request keeps its own.
 */
export function parseUpstreamUrl(text: string): Parsed<UpstreamUrl> {
  if (!/^https?:\/\//i.test(text)) {
    const hint = /^[\w.-]+:\d+$/.test(text) ? `did you mean http://${text}?` : undefined;
    return refuse(EXPECTED_URL, hint ?? 'only http:// and https:// are supported');
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || /[\s\\]/.test(text)) return refuse(EXPECTED_URL);
  if (url.username !== '' || url.password !== '') {
    return refuse(EXPECTED_URL, 'it cannot hold credentials');
  }
  if (url.pathname !== '/' || /[?#]/.test(text)) {
    return refuse(EXPECTED_URL, 'it cannot hold a path or query: a request keeps its own');
  }
  const host = bareHost(url);
  if (isIP(host) === 0 && !isHost(host)) return refuse(EXPECTED_URL);
  const tls = url.protocol === 'https:';
  const port = url.port === '' ? (tls ? 443 : 80) : Number(url.port);
  if (port === 0) return refuse(EXPECTED_URL, 'a port is 1 to 65535');
  return accept({ url: url.origin, host, port, tls });
}

/**
 * Reads `redis://` or `rediss://` (TLS) with optional `user:password@`, port (6379) and `/database`.
 * What it refuses, it never repeats: the text may hold a password.
 */
export function parseRedisUrl(text: string): Parsed<RedisUrl> {
  const expected =
    'a URL such as redis://10.0.0.5:6379 or rediss://user:password@redis.example:6380/0';
  if (!/^rediss?:\/\//i.test(text)) return refuse(expected);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || /\s/.test(text)) {
    return refuse(
      expected,
      'characters such as @ / # % in a password are written as %40 %2f %23 %25',
    );
  }
  if (url.search !== '' || url.hash !== '') {
    return refuse(expected, 'it cannot hold a query or fragment');
  }
  const host = bareHost(url);
  if (isIP(host) === 0 && !isHost(host)) return refuse(expected);
  const database = /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  if (database === undefined) return refuse(expected, 'its path is the number of the database');
  const username = decode(url.username);
  const password = decode(url.password);
  if (username === undefined || password === undefined) {
    return refuse(expected, 'a % in a password is written as %25');
  }
  return accept({
    host,
    port: url.port === '' ? 6379 : Number(url.port),
    tls: url.protocol === 'rediss:',
    username: username === '' ? undefined : username,
    password: password === '' ? undefined : password,
    database: database === '' ? undefined : Number(database),
  });
}

function bareHost(url: URL): string {
  return url.hostname.replace(/^\[(.*)\]$/, '$1');
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Reads a CIDR range or a single IP address; the result is always a range. */
export function parseCidr(text: string): Parsed<string> {
  const expected = 'a range such as 10.0.0.0/8 or an IP address';
  const [address = '', bits, ...rest] = text.split('/');
  const version = isIP(address);
  if (version === 0 || rest.length > 0 || address.includes('%')) return refuse(expected);
  const maxBits = version === 4 ? 32 : 128;
  if (bits === undefined) return accept(`${address}/${String(maxBits)}`);
  if (!/^\d{1,3}$/.test(bits) || Number(bits) > maxBits) {
    return refuse(expected, `the prefix is 0 to ${String(maxBits)}`);
  }
  return accept(`${address}/${bits}`);
}

/** True for 127.0.0.0/8, ::1 and localhost. */
export function isLoopback(host: string): boolean {
  if (host === 'localhost') return true;
  return isIP(host) !== 0 && ipaddr.process(host).range() === 'loopback';
}

/** True for the addresses that stand for all of the machine's own. */
export function isWildcard(host: string): boolean {
  return isIP(host) !== 0 && ipaddr.process(host).range() === 'unspecified';
}

/** `host:port`, with brackets around an IPv6 address. */
export function formatHostPort({ host, port }: HostPort): string {
  return isIP(host) === 6 ? `[${host}]:${String(port)}` : `${host}:${String(port)}`;
}
