import { z } from 'zod';
import type { HostPort } from './address.ts';
import { isLoopback, parseCidr, parseListenAddress } from './address.ts';
import type { Config, ListenAddress } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import { mapping, oneOf, oneOrMany, parsedBy, text, textOrNumber } from './fields.ts';
import { listenSchema, routeSchema, upstreamSchema } from './items.ts';
import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';
import { parseEnginePath } from './paths.ts';
import { healthSchema, limitsSchema, logSchema, timeoutsSchema } from './sections.ts';
import { storeSchema } from './store-schema.ts';

const ADMIN = 'a loopback address such as 127.0.0.1:9099';
const RANGE = 'a range such as 10.0.0.0/8';

const documentSchema = mapping({
  listen: oneOrMany(listenSchema, 'an address such as 127.0.0.1:8099, or a list of them')
    .prefault(DEFAULTS.listen)
    .describe('Where clients connect.'),
  store: storeSchema.prefault(DEFAULTS.store).describe('Where bindings live.'),
  path: oneOrMany(text('a path such as /socket.io/', parseEnginePath), 'a path or a list of paths')
    .prefault(DEFAULTS.path)
    .describe('Engine.IO paths.'),
  upstreams: oneOrMany(upstreamSchema, 'a list of URLs such as http://127.0.0.1:10015').describe(
    'The Socket.IO servers.',
  ),
  balance: oneOf(['least-sessions', 'round-robin', 'random'])
    .prefault(DEFAULTS.balance)
    .describe('How the upstream of a new session is chosen.'),
  ioCookie: oneOf(['withhold', 'pass'])
    .prefault(DEFAULTS.ioCookie)
    .describe('Whether the io cookie or header of a handshake reaches the upstream.'),
  admin: textOrNumber(ADMIN, parseAdminAddress)
    .optional()
    .describe('Health, metrics and API. Default: none.'),
  routes: oneOrMany(routeSchema, 'a list of {path, proxy} or {path, static}', { min: 0 })
    .prefault(DEFAULTS.routes)
    .describe('What is not Engine.IO; the first match wins.'),
  trustProxies: oneOrMany(text(RANGE, parseCidr), RANGE, { min: 0 })
    .prefault(DEFAULTS.trustProxies)
    .describe('Proxies in front whose forwarding headers are believed.'),
  workers: parsedBy(z.unknown().meta({ const: 1 }), parseWorkers)
    .prefault(DEFAULTS.workers)
    .describe('Processes; only 1 in this version.'),
  limits: limitsSchema.prefault({}).describe('What a request and the router may use.'),
  timeouts: timeoutsSchema.prefault({}).describe('How long anything may take.'),
  health: healthSchema.prefault({}).describe('Active health checks.'),
  log: logSchema.prefault({}).describe('The log.'),
});

function parseAdminAddress(raw: string): Parsed<ListenAddress> {
  const parsed: Parsed<HostPort> = parseListenAddress(raw);
  if (!parsed.ok) return parsed;
  if (isLoopback(parsed.value.host)) return accept({ ...parsed.value, tls: undefined });
  return refuse(ADMIN, 'it has no authentication in this version, so it stays on this machine');
}

function parseWorkers(raw: unknown): Parsed<1> {
  return raw === 1
    ? accept(1)
    : refuse('1', 'this version runs as one process; for more, start replicas that share a Redis');
}

/** A configuration as read from its file: typed, with defaults, relative paths as they stand. */
export interface Settings extends Omit<Config, 'paths'> {
  readonly path: readonly string[];
  readonly workers: 1;
}

/** The readable part of {@link Settings}; an item that could not be read leaves its index empty. */
export type PartialSettings = {
  readonly [Key in keyof Settings]?: Settings[Key] extends readonly (infer Item)[]
    ? readonly (Item | undefined)[]
    : Settings[Key];
};

/** What {@link readSettings} made of a raw configuration. */
export type ReadSettings =
  | { readonly ok: true; readonly settings: Settings }
  | {
      readonly ok: false;
      readonly issues: readonly z.core.$ZodIssue[];
      readonly partial: PartialSettings;
    };

/** Reads a raw configuration (what YAML or JSON made of a file). Finds all issues, not the first. */
export function readSettings(raw: Readonly<Record<string, unknown>>): ReadSettings {
  const result = documentSchema.safeParse(raw);
  if (result.success) {
    return { ok: true, settings: { ...result.data, admin: result.data.admin } };
  }
  return { ok: false, issues: result.error.issues, partial: readableParts(raw) };
}

/** Reads key by key and item by item, so that the rest of a broken file can be checked as well. */
function readableParts(raw: Readonly<Record<string, unknown>>): PartialSettings {
  const parts: Record<string, unknown> = {};
  for (const [key, schema] of Object.entries<z.ZodType>(documentSchema.shape)) {
    const value = raw[key];
    if (Array.isArray(value)) {
      parts[key] = value.map(
        (item) => (schema.safeParse([item]).data as unknown[] | undefined)?.[0],
      );
    } else {
      parts[key] = schema.safeParse(value).data;
    }
  }
  return parts;
}

/** The JSON Schema of configuration files (draft 2020-12), for editors. */
export function jsonSchema(): Record<string, unknown> {
  const schema = z.toJSONSchema(documentSchema, { io: 'input' });
  return { title: 'unsticky configuration', ...schema };
}
