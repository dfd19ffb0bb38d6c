import { z } from 'zod';
import type { UpstreamUrl } from './address.ts';
import { formatHostPort, parseListenAddress, parseUpstreamUrl } from './address.ts';
import type { ListenAddress, RouteConfig, UpstreamConfig } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import { fileName, mapping, oneOrMany, text, textOrNumber, wholeNumber } from './fields.ts';
import { parseId, parseRoutePath } from './paths.ts';

const LISTEN = 'an address such as 127.0.0.1:8099';
const UPSTREAM = 'a URL such as http://127.0.0.1:10015';
const APPLICATION = 'a URL such as http://127.0.0.1:3000';

const listenAddress = textOrNumber(LISTEN, parseListenAddress);
const upstreamUrl = text(UPSTREAM, parseUpstreamUrl);

/** An item of `listen`. */
export const listenSchema: z.ZodType<ListenAddress> = z.union(
  [
    listenAddress.transform((address) => ({ ...address, tls: undefined })),
    mapping({
      address: listenAddress,
      tls: mapping({
        cert: fileName().describe('Certificate chain, PEM.'),
        key: fileName().describe('Private key, PEM.'),
      }).optional(),
    }).transform(({ address, tls }) => ({ ...address, tls })),
  ],
  { error: `${LISTEN}, or a mapping of address, tls` },
);

/** An item of `upstreams`. */
export const upstreamSchema: z.ZodType<UpstreamConfig> = z.union(
  [
    upstreamUrl.transform((url) => upstream(url)),
    mapping({
      id: text('a name', parseId)
        .optional()
        .describe('Name in logs and Redis. Default: host:port.'),
      url: upstreamUrl.describe('http:// or https://, host and port.'),
      weight: wholeNumber(1, 1000)
        .prefault(DEFAULTS.upstream.weight)
        .describe('Share of new sessions.'),
    }).transform(({ id, url, weight }) => upstream(url, id, weight)),
  ],
  { error: `${UPSTREAM}, or a mapping of id, url, weight` },
);

function upstream(
  url: UpstreamUrl,
  id: string = formatHostPort(url),
  weight: number = DEFAULTS.upstream.weight,
): UpstreamConfig {
  return { ...url, id, weight };
}

/** An item of `routes`. */
export const routeSchema: z.ZodType<RouteConfig> = mapping({
  path: text('a path such as /api/', parseRoutePath).describe('Prefix of the request path.'),
  proxy: oneOrMany(text(APPLICATION, parseUpstreamUrl), APPLICATION)
    .optional()
    .describe('Servers of an ordinary web application.'),
  static: fileName().optional().describe('Directory of files.'),
}).transform((route, context): RouteConfig => {
  const { path, proxy, static: directory } = route;
  if (proxy !== undefined && directory === undefined) {
    return { kind: 'proxy', path, urls: proxy.map(({ url }) => url) };
  }
  if (directory !== undefined && proxy === undefined) return { kind: 'static', path, directory };
  context.addIssue({ code: 'custom', message: 'either proxy or static' });
  return z.NEVER;
});
