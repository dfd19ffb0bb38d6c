import type { ServerResponse } from 'node:http';
import { opensOnPreflight } from '../engineio/flavours.ts';
import { DEFAULT_RULES, preflightAnswer } from '../engineio/preflight.ts';
import { ERRORS } from '../errors.ts';
import { checkHandshake } from '../upstreams/check.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { refuse } from './respond.ts';
import { forwardTo } from './stateless.ts';
import type { Visit } from './visit.ts';

/**
 * A CORS preflight without a sid. Most upstreams answer it themselves; one that would open a session
 * for it, which nobody could ever use or end, is spared and answered for by the rules that it told
 * with its answers to handshakes.
 */
export async function servePreflight(
  parts: Parts,
  request: { visit: Visit; res: ServerResponse; path: string },
  tried: Set<Upstream> = new Set(),
): Promise<void> {
  const { visit, res } = request;
  const upstream = parts.pool.pick(tried);
  if (upstream === undefined) {
    refuse(visit, res, tried.size > 0 ? 'UPSTREAM_CONNECT' : 'NO_UPSTREAM');
    return;
  }
  const tryNext = (): void => void servePreflight(parts, request, tried.add(upstream));
  const answers = upstream.introduction !== undefined || (await meet(upstream, request));
  if (res.destroyed) {
    visit.finish({ status: ERRORS.CLIENT_GONE.status, bytes: 0, outcome: 'CLIENT_GONE' });
  } else if (!answers) {
    tryNext();
  } else if (opensOnPreflight(upstream.flavour)) {
    visit.upstream = upstream.id;
    answerFor(upstream, request);
  } else {
    forwardTo(parts, { ...request, upstream, onUnreached: tryNext });
  }
}

/** Learns by a handshake of its own what an upstream is; false if nothing answers there. */
async function meet(
  upstream: Upstream,
  { visit, path }: { visit: Visit; path: string },
): Promise<boolean> {
  const limit = AbortSignal.timeout(visit.settings.config.health.timeoutMs);
  const result = await checkHandshake(upstream.config, path, '4', limit);
  if (result.introduction !== undefined) upstream.introduce(result.introduction);
  return result.passed || result.answered;
}

function answerFor(
  upstream: Upstream,
  { visit, res }: { visit: Visit; res: ServerResponse },
): void {
  const rules = upstream.introduction?.crossOrigin ?? DEFAULT_RULES;
  const { status, headers } = preflightAnswer(rules, visit.origin);
  res.writeHead(status, [...headers, ['Content-Length', '0'] as const].flat());
  res.end();
  visit.finish({ status, bytes: 0, outcome: 'ok' });
}
