import { formatHostPort } from '../config/address.ts';
import type { Config, RouteConfig, StoreConfig } from '../config/config.ts';

/** A listener as a URL. */
export function listenerUrl(address: { host: string; port: number; tls: unknown }): string {
  return `${address.tls ? 'https' : 'http'}://${formatHostPort(address)}`;
}

/** Where bindings live, in a few words and without credentials. */
export function describeStore(store: StoreConfig): string {
  if (store.kind === 'memory') return 'memory (for one replica)';
  const { topology } = store;
  switch (topology.kind) {
    case 'single':
      return `Redis at ${topology.url}, database ${String(store.database)}`;
    case 'sentinel':
      return `Redis ${topology.name} by the sentinels ${topology.sentinels.map(formatHostPort).join(', ')}`;
    case 'cluster':
      return `Redis cluster at ${topology.nodes.map(formatHostPort).join(', ')}`;
  }
}

/** What a router with this configuration would do, as a table for people. */
export function describeConfig(config: Config): string {
  const { health, limits, timeouts } = config;
  const rows: readonly (readonly [string, readonly string[]])[] = [
    ['listen', config.listen.map(listenerUrl)],
    ['path', config.paths],
    [
      'upstreams',
      config.upstreams.map(({ id, url, weight }) => `${id}  ${url}  weight ${String(weight)}`),
    ],
    ['balance', [config.balance]],
    ['store', [describeStore(config.store)]],
    ['ioCookie', [config.ioCookie]],
    ['routes', config.routes.length === 0 ? ['none'] : config.routes.map(describeRoute)],
    ['admin', [config.admin === undefined ? 'none' : listenerUrl(config.admin)]],
    ['trustProxies', config.trustProxies.length === 0 ? ['none'] : config.trustProxies],
    ['body', [`at most ${String(limits.bodyBytes)} bytes`]],
    [
      'upstream',
      [
        `answers within ${seconds(timeouts.upstreamMs)}, connects within ${seconds(timeouts.connectMs)}`,
      ],
    ],
    [
      'health',
      [
        `${health.check.kind} every ${seconds(health.intervalMs)}, within ${seconds(health.timeoutMs)}`,
      ],
    ],
    ['shutdown', [`within ${seconds(timeouts.shutdownMs)}`]],
  ];
  return rows
    .map(([name, values]) => `  ${name.padEnd(14)}${values.join(`\n${' '.repeat(16)}`)}\n`)
    .join('');
}

function describeRoute(route: RouteConfig): string {
  const target = route.kind === 'static' ? route.directory : route.urls.join(', ');
  return `${route.path}  ${route.kind} ${target}`;
}

function seconds(ms: number): string {
  return `${String(ms / 1000)} s`;
}
