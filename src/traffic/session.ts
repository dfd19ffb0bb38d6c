import type { ServerResponse } from 'node:http';
import { endsSession } from '../engineio/close-packet.ts';
import { saysSessionUnknown } from '../engineio/flavours.ts';
import type { OpenPacket } from '../engineio/types.ts';
import { UnstickyError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import type { RelayOutcome } from '../forward/relay.ts';
import { headerValue } from '../headers.ts';
import type { Session } from '../sessions/directory.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { conclude } from './respond.ts';
import type { Visit } from './visit.ts';

/**
 * Added to what the open packet announces: clocks, queues and the network take their time, and a
 * binding that outlives its session by half a minute costs less than one that dies before it.
 */
const TTL_MARGIN_MS = 30_000;

/** How long a session's binding lives without a request, in milliseconds. */
export function timeToLiveMs(open: OpenPacket): number {
  return open.pingIntervalMs + open.pingTimeoutMs + TTL_MARGIN_MS;
}

/** Where a request of a session goes, or why it goes nowhere. */
export type Owner =
  | { readonly kind: 'found'; readonly session: Session; readonly upstream: Upstream }
  | { readonly kind: 'refused'; readonly code: ErrorCode };

/** Finds the owner of a sid; waits for the store only if this replica does not know it. */
export function findOwner(parts: Parts, sid: string): Owner | Promise<Owner> {
  const found = parts.directory.ownerOf(sid);
  if (found instanceof Promise) return resolveOwner(parts, found);
  return judgeOwner(parts, found);
}

async function resolveOwner(parts: Parts, lookUp: Promise<Session | undefined>): Promise<Owner> {
  try {
    return judgeOwner(parts, await lookUp);
  } catch (error) {
    if (!(error instanceof UnstickyError)) throw error;
    return { kind: 'refused', code: error.code };
  }
}

function judgeOwner(parts: Parts, session: Session | undefined): Owner {
  // A binding that names no configured upstream routes nowhere.
  const upstream = session === undefined ? undefined : parts.pool.get(session.upstream);
  if (session === undefined || upstream === undefined) {
    parts.counters.unknownSids += 1;
    return { kind: 'refused', code: 'SID_UNKNOWN' };
  }
  if (upstream.dead) return { kind: 'refused', code: 'UPSTREAM_DOWN' };
  return { kind: 'found', session, upstream };
}

/** A poll or POST of a session: goes to its owner, once. */
export function forwardToOwner(
  parts: Parts,
  request: { visit: Visit; res: ServerResponse; owner: Owner & { kind: 'found' } },
): void {
  const { visit, res, owner } = request;
  const { session, upstream } = owner;
  const { config } = visit.settings;
  parts.counters.sessionRequests += 1;
  visit.upstream = upstream.id;
  parts.directory.touch(session);
  parts.relays.forward({
    req: visit.req,
    res,
    upstream,
    head: (connection) => visit.requestHead({ connection }),
    body: visit.body,
    bodyLimitBytes: config.limits.bodyBytes,
    // A poll may be held as long as the session may be silent.
    answerMs:
      visit.method === 'GET'
        ? Math.max(config.timeouts.upstreamMs, session.ttlMs)
        : config.timeouts.upstreamMs,
    mode: 'stream',
    onDone: (outcome) => {
      // The binding stays if it failed: that says nothing about the session.
      if (outcome.kind === 'answered') learnFromAnswer(parts, visit, { session, outcome });
      conclude(visit, res, outcome);
    },
  });
}

/** The upstream is the truth: its answer tells whether the session lives, ends or is unknown. */
function learnFromAnswer(
  parts: Parts,
  visit: Visit,
  heard: { session: Session; outcome: RelayOutcome & { kind: 'answered' } },
): void {
  const { session, outcome } = heard;
  const { head, answerSample, requestSample } = outcome;
  if (head.status >= 400) {
    if (answerSample === undefined) return;
    const flavour = saysSessionUnknown({
      status: head.status,
      contentType: headerValue(head.rawHeaders, 'content-type'),
      contentLength: head.framing === 'length' ? head.contentLength : undefined,
      chunked: head.framing === 'chunked',
      body: answerSample.toString('latin1'),
    });
    if (flavour === undefined) return;
    parts.counters.lostSessions += 1;
    parts.directory.release(session);
    return;
  }
  const last = visit.method === 'POST' ? requestSample : answerSample;
  if (last !== undefined && endsSession(last)) parts.directory.release(session);
  else parts.directory.touch(session);
}
