import ipaddr from 'ipaddr.js';
import { UnstickyError } from './errors.ts';
import { headerValue } from './headers.ts';

/** What is known about the connection a request came in on. */
export interface ForwardingFacts {
  /** The TCP peer. */
  readonly remoteAddress: string;
  /** Who asks, as far as trusted proxies say so; see {@link clientAddress}. */
  readonly clientAddress: string;
  /** True when the peer speaks TLS to us. */
  readonly secure: boolean;
  /** True when the peer is one of our own proxies, whose forwarding headers are believed. */
  readonly trusted: boolean;
}

/**
 * What tells an upstream about the client: `X-Forwarded-For`, `-Proto`, `-Host` and `X-Real-IP`.
 * A trusted peer's own are continued, and its other `X-Forwarded-*` kept; anyone else's are replaced.
 *
 * @param host - value of `Host`, undefined when the request has none (HTTP/1.0)
 */
export function forwardingHeaders(
  rawHeaders: readonly string[],
  facts: ForwardingFacts,
  host: string | undefined,
): readonly (readonly [string, string])[] {
  const said = (name: string): string | undefined =>
    facts.trusted ? headerValue(rawHeaders, name) : undefined;
  const peer = withoutMapping(facts.remoteAddress);
  const before = said('x-forwarded-for');
  const forwardedHost = said('x-forwarded-host') ?? host;
  const forwarding: [string, string][] = [
    ['X-Forwarded-For', before === undefined ? peer : `${before}, ${peer}`],
    ['X-Forwarded-Proto', said('x-forwarded-proto') ?? (facts.secure ? 'https' : 'http')],
    ['X-Real-IP', facts.clientAddress],
  ];
  if (forwardedHost !== undefined) forwarding.push(['X-Forwarded-Host', forwardedHost]);
  if (facts.trusted) forwarding.push(...otherForwarding(rawHeaders));
  return forwarding;
}

/** `X-Forwarded-Port`, `-Prefix` and the like: facts about the front that only the front knows. */
function otherForwarding(rawHeaders: readonly string[]): [string, string][] {
  const others: [string, string][] = [];
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const lower = name.toLowerCase();
    if (!lower.startsWith('x-forwarded-') || lower.includes('_')) continue;
    if (/^x-forwarded-(?:for|proto|host)$/.test(lower)) continue;
    others.push([name, rawHeaders[i + 1] ?? '']);
  }
  return others;
}

/**
 * Who asks: the TCP peer, or behind trusted proxies the rightmost address of `X-Forwarded-For` that
 * is none of them (what stands further left is hearsay). An entry that is no address ends the search.
 */
export function clientAddress(
  rawHeaders: readonly string[],
  remoteAddress: string,
  proxies: TrustedProxies,
): string {
  let client = withoutMapping(remoteAddress);
  if (!proxies.has(client)) return client;
  const hops = headerValue(rawHeaders, 'x-forwarded-for')?.split(',') ?? [];
  for (const hop of hops.reverse()) {
    const address = withoutPort(hop.trim());
    if (parseAddress(address) === undefined) return client;
    client = withoutMapping(address);
    if (!proxies.has(client)) return client;
  }
  return client;
}

const CACHED_ADDRESSES = 1024;

/** The address ranges whose forwarding headers are believed. */
export class TrustedProxies {
  readonly #ranges: readonly [ipaddr.IPv4 | ipaddr.IPv6, number][];
  readonly #known = new Map<string, boolean>();

  /**
   * @param cidrs - ranges (`10.0.0.0/8`, `fd00::/8`) or single addresses
   * @throws UnstickyError `CONFIG_INVALID` for what is neither
   */
  constructor(cidrs: readonly string[]) {
    this.#ranges = cidrs.map(parseRange);
  }

  /** Whether the address lies in one of the ranges; an IPv4-mapped one (`::ffff:10.0.0.1`) counts as IPv4. */
  has(address: string): boolean {
    if (this.#ranges.length === 0) return false;
    const known = this.#known.get(address);
    if (known !== undefined) return known;
    const parsed = parseAddress(address);
    const found = parsed !== undefined && this.#ranges.some((range) => matches(parsed, range));
    if (this.#known.size >= CACHED_ADDRESSES) this.#known.clear();
    this.#known.set(address, found);
    return found;
  }
}

/** `ipaddr.parse` also takes `127.1` and `0x7f000001`, which no proxy writes. */
function parseAddress(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  return ipaddr.IPv6.isValid(text) ? ipaddr.process(text) : undefined;
}

function parseRange(cidr: string): [ipaddr.IPv4 | ipaddr.IPv6, number] {
  const address = parseAddress(cidr);
  if (address !== undefined) return [address, address.kind() === 'ipv4' ? 32 : 128];
  if (ipaddr.isValidCIDR(cidr)) return ipaddr.parseCIDR(cidr);
  throw new UnstickyError('CONFIG_INVALID', `trustProxies: ${cidr} is no address or CIDR range`);
}

function matches(
  address: ipaddr.IPv4 | ipaddr.IPv6,
  range: [ipaddr.IPv4 | ipaddr.IPv6, number],
): boolean {
  return address.kind() === range[0].kind() && address.match(range);
}

/** `::ffff:10.0.0.1`, as a dual-stack listener shows IPv4 peers, is written as `10.0.0.1`. */
function withoutMapping(address: string): string {
  return address.startsWith('::ffff:') && address.includes('.') ? address.slice(7) : address;
}

/** `10.0.0.1:4711` and `[::1]:4711`, as some load balancers write them, without brackets and port. */
function withoutPort(hop: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(hop)?.[1];
  return bracketed ?? hop.replace(/^(\d+\.\d+\.\d+\.\d+):\d+$/, '$1');
}
