import { formatHostPort, isLoopback, isWildcard } from './address.ts';
import type { HostPort } from './address.ts';
import type { Finding, Path } from './issues.ts';
import { formatPath } from './issues.ts';
import type { PartialSettings } from './schema.ts';

/** Finds what is wrong between values that are right by themselves. */
export function checkRules(settings: PartialSettings): readonly Finding[] {
  return [
    ...listenerRules(settings),
    ...upstreamRules(settings),
    ...pathRules(settings),
    ...routeRules(settings),
    ...timeRules(settings),
  ];
}

function finding(path: Path, message: string, hint?: string): Finding {
  return { path, at: 'value', message, hint };
}

interface Placed<T> {
  readonly path: Path;
  /** As a message names it: an item alone by its key only. */
  readonly name: string;
  readonly value: T;
}

function placed<T>(key: string, items: readonly (T | undefined)[] = []): readonly Placed<T>[] {
  return items.flatMap((value, index) => {
    if (value === undefined) return [];
    const path = [key, index];
    return [{ path, name: items.length === 1 ? key : formatPath(path), value }];
  });
}

/** Each item with the first one before it that it collides with. */
function collisions<T>(
  items: readonly Placed<T>[],
  collide: (earlier: T, later: T) => boolean,
): readonly (Placed<T> & { readonly earlier: Placed<T> })[] {
  return items.flatMap((item, index) => {
    const earlier = items.slice(0, index).find(({ value }) => collide(value, item.value));
    return earlier === undefined ? [] : [{ ...item, earlier }];
  });
}

function listenersOf({ listen, admin }: PartialSettings): readonly Placed<HostPort>[] {
  const traffic: readonly Placed<HostPort>[] = placed('listen', listen);
  return admin === undefined
    ? traffic
    : [...traffic, { path: ['admin'], name: 'admin', value: admin }];
}

function listenerRules(settings: PartialSettings): readonly Finding[] {
  return collisions(listenersOf(settings), sameListener).map(({ path, value, earlier }) =>
    finding(path, `${formatHostPort(value)} is taken by ${earlier.name} already`),
  );
}

function sameListener(a: HostPort, b: HostPort): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  return a.host === b.host || isWildcard(a.host) || isWildcard(b.host);
}

function upstreamRules(settings: PartialSettings): readonly Finding[] {
  const upstreams = placed('upstreams', settings.upstreams);
  const listeners = listenersOf(settings);
  const sameUrl = collisions(upstreams, (a, b) => a.host === b.host && a.port === b.port);
  const sameId = collisions(upstreams, (a, b) => a.id === b.id);
  return [
    ...sameUrl.map(({ path, value, earlier }) =>
      finding(path, `${value.url} is ${earlier.name} already`),
    ),
    ...sameId
      .filter(({ path }) => !sameUrl.some((other) => other.path[1] === path[1]))
      .map(({ path, value, earlier }) =>
        finding([...path, 'id'], `the id ${value.id} belongs to ${earlier.name} already`),
      ),
    ...upstreams.flatMap(({ path, value }) => {
      const own = listeners.find((listener) => leadsTo(value, listener.value));
      if (own === undefined) return [];
      return [finding(path, `leads back to the router itself, which listens there (${own.name})`)];
    }),
  ];
}

function leadsTo(upstream: HostPort, listener: HostPort): boolean {
  if (upstream.port !== listener.port) return false;
  return (
    upstream.host === listener.host || (isWildcard(listener.host) && isLoopback(upstream.host))
  );
}

function pathRules({ path: paths }: PartialSettings): readonly Finding[] {
  const overlaps = (a: string, b: string): boolean => a.startsWith(b) || b.startsWith(a);
  return collisions(placed('path', paths), overlaps).map(({ path, value, earlier }) =>
    finding(
      path,
      `${value} and ${earlier.value} overlap`,
      'Engine.IO paths must not lie in one another',
    ),
  );
}

function routeRules({ path: enginePaths, routes }: PartialSettings): readonly Finding[] {
  const items = placed('routes', routes);
  const shadowed = collisions(items, (earlier, later) => later.path.startsWith(earlier.path));
  return [
    ...items.flatMap(({ path, value }) => {
      const engine = placed('path', enginePaths).find((item) =>
        `${value.path}/`.startsWith(item.value),
      );
      if (engine === undefined) return [];
      return [finding([...path, 'path'], `is never reached: ${engine.value} is an Engine.IO path`)];
    }),
    ...shadowed.map(({ path, value, earlier }) =>
      finding(
        [...path, 'path'],
        `${value.path} is never reached: ${earlier.name} (${earlier.value.path}) matches first`,
        value.path === earlier.value.path ? 'remove one' : 'put the longer path first',
      ),
    ),
  ];
}

function timeRules({ timeouts, health }: PartialSettings): readonly Finding[] {
  const found: Finding[] = [];
  if (timeouts !== undefined && timeouts.clientHeaderMs > timeouts.clientRequestMs) {
    found.push(
      finding(['timeouts', 'clientHeader'], 'must not be longer than timeouts.clientRequest'),
    );
  }
  if (health !== undefined && health.timeoutMs > health.intervalMs) {
    found.push(finding(['health', 'timeout'], 'must not be longer than health.interval'));
  }
  return found;
}
