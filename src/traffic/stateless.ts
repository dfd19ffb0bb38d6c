import type { ServerResponse } from 'node:http';
import type { RelayOutcome } from '../forward/relay.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { conclude, refuse } from './respond.ts';
import type { Visit } from './visit.ts';

/**
 * A request that neither makes nor needs a session (the client's script, a CORS preflight): any
 * upstream answers it. One that cannot be reached is passed over.
 */
export function forwardStateless(
  parts: Parts,
  request: { visit: Visit; res: ServerResponse },
  tried: Set<Upstream> = new Set(),
): void {
  const { visit, res } = request;
  const { config } = visit.settings;
  const upstream = parts.pool.pick(tried);
  if (upstream === undefined) {
    refuse(visit, res, tried.size > 0 ? 'UPSTREAM_CONNECT' : 'NO_UPSTREAM');
    return;
  }
  visit.upstream = upstream.id;
  parts.relays.forward({
    req: visit.req,
    res,
    upstream,
    head: (connection) => visit.requestHead({ connection }),
    body: visit.body,
    bodyLimitBytes: config.limits.bodyBytes,
    answerMs: config.timeouts.upstreamMs,
    mode: 'stream',
    onDone: (outcome) => {
      if (isUnreached(outcome)) forwardStateless(parts, request, tried.add(upstream));
      else conclude(visit, res, outcome);
    },
  });
}

function isUnreached(outcome: RelayOutcome): boolean {
  return outcome.kind === 'failed' && outcome.error.code === 'UPSTREAM_CONNECT';
}
