import { z } from 'zod';
import type { Config, HealthCheck } from './config.ts';
import { DEFAULTS } from './defaults.ts';
import { duration, mapping, oneOf, size, text, wholeNumber } from './fields.ts';
import { parseHealthPath } from './paths.ts';

const MAX_BINDINGS = 10_000_000;

/** `limits`. */
export const limitsSchema: z.ZodType<Config['limits']> = mapping({
  body: size()
    .prefault(DEFAULTS.limits.body)
    .describe('Largest request body; bodies are streamed, never held.'),
  headerLines: wholeNumber(16, 2000)
    .prefault(DEFAULTS.limits.headerLines)
    .describe('Header lines of one request.'),
  cachedBindings: wholeNumber(1, MAX_BINDINGS)
    .prefault(DEFAULTS.limits.cachedBindings)
    .describe('Bindings remembered in front of Redis.'),
  memoryBindings: wholeNumber(1, MAX_BINDINGS)
    .prefault(DEFAULTS.limits.memoryBindings)
    .describe('Bindings that the memory store holds.'),
}).transform(({ body, ...counts }) => ({ bodyBytes: body, ...counts }));

/** `timeouts`. */
export const timeoutsSchema: z.ZodType<Config['timeouts']> = mapping({
  connect: timeout('connect', 'TCP and TLS connection to an upstream.'),
  handshake: timeout('handshake', 'Until an upstream begins its answer to a handshake.'),
  upstream: timeout('upstream', 'Until an upstream begins any other answer.'),
  upgrade: timeout('upgrade', 'Until an upstream answers an upgrade.'),
  clientHeader: timeout('clientHeader', 'Until a client has sent its request header.'),
  clientRequest: timeout('clientRequest', 'Until a client has sent its whole request.'),
  keepAlive: timeout('keepAlive', 'How long an idle client connection is kept.'),
  shutdown: timeout('shutdown', 'How long polls and tunnels may go on after SIGTERM.'),
}).transform((value) => ({
  connectMs: value.connect,
  handshakeMs: value.handshake,
  upstreamMs: value.upstream,
  upgradeMs: value.upgrade,
  clientHeaderMs: value.clientHeader,
  clientRequestMs: value.clientRequest,
  keepAliveMs: value.keepAlive,
  shutdownMs: value.shutdown,
}));

function timeout(key: keyof typeof DEFAULTS.timeouts, description: string): z.ZodType<number> {
  return duration().prefault(DEFAULTS.timeouts[key]).describe(description);
}

const checkSchema = z.union(
  [
    oneOf(['handshake', 'tcp']).transform((kind): HealthCheck => ({ kind })),
    mapping({
      http: text('a path such as /healthz', parseHealthPath).describe(
        'Answers below 400 when healthy.',
      ),
    }).transform(({ http }): HealthCheck => ({ kind: 'http', path: http })),
  ],
  { error: 'handshake, tcp or {http: /path}' },
);

/** `health`. */
export const healthSchema: z.ZodType<Config['health']> = mapping({
  interval: duration().prefault(DEFAULTS.health.interval).describe('From one check to the next.'),
  timeout: duration().prefault(DEFAULTS.health.timeout).describe('Limit of one check.'),
  check: checkSchema.prefault(DEFAULTS.health.check).describe('How an upstream is asked.'),
}).transform(({ interval, timeout: limit, check }) => ({
  intervalMs: interval,
  timeoutMs: limit,
  check,
}));

/** `log`. */
export const logSchema: z.ZodType<Config['log']> = mapping({
  level: oneOf(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'])
    .prefault(DEFAULTS.log.level)
    .describe('Least important lines that are written.'),
  access: z
    .boolean({ error: 'true or false' })
    .prefault(DEFAULTS.log.access)
    .describe('One line for each request.'),
});
