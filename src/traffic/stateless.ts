import type { ServerResponse } from 'node:http';
import type { RelayOutcome } from '../forward/relay.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { conclude, refuse } from './respond.ts';
import type { Visit } from './visit.ts';

/** A client's request for something of no session. */
export interface StatelessRequest {
  readonly visit: Visit;
  readonly res: ServerResponse;
}

/**
 * A request that neither makes nor needs a session (the client's script): any upstream answers it.
 * One that cannot be reached is passed over.
 */
export function forwardStateless(
  parts: Parts,
  request: StatelessRequest,
  tried: Set<Upstream> = new Set(),
): void {
  const { visit, res } = request;
  const upstream = parts.pool.pick(tried);
  if (upstream === undefined) {
    refuse(visit, res, tried.size > 0 ? 'UPSTREAM_CONNECT' : 'NO_UPSTREAM');
    return;
  }
  const onUnreached = (): void => forwardStateless(parts, request, tried.add(upstream));
  forwardTo(parts, { visit, res, upstream, onUnreached });
}

/** Sends such a request to one upstream, whose answer passes untouched. */
export function forwardTo(
  parts: Parts,
  request: StatelessRequest & {
    readonly upstream: Upstream;
    /** Called in place of an answer if no connection to the upstream could be opened. */
    readonly onUnreached: () => void;
  },
): void {
  const { visit, res, upstream, onUnreached } = request;
  const { config } = visit.settings;
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
      if (isUnreached(outcome)) onUnreached();
      else conclude(visit, res, outcome);
    },
  });
}

function isUnreached(outcome: RelayOutcome): boolean {
  return outcome.kind === 'failed' && outcome.error.code === 'UPSTREAM_CONNECT';
}
