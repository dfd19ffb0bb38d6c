import { FLAVOURS, saysSessionUnknown } from '../engineio/flavours.ts';
import { isUpgradePacket } from '../engineio/probe.ts';
import type { TunnelEnd } from '../forward/tunnel.ts';
import { Tunnels } from '../forward/tunnels.ts';
import type { TunnelOutcome } from '../forward/tunnels.ts';
import type { UpgradeClient } from '../forward/upgrade-client.ts';
import { headerValue } from '../headers.ts';
import type { Session } from '../sessions/directory.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { concludeUpgrade, refuseUpgrade } from './respond.ts';
import { findOwner } from './session.ts';
import type { Owner } from './session.ts';
import type { Visit } from './visit.ts';
import { WebSocketHandshake } from './websocket-handshake.ts';

/** How often the sessions of living tunnels are touched, in milliseconds. */
const TOUCH_INTERVAL_MS = 5000;

/** An upgrade as it came in. */
export interface UpgradeRequest {
  readonly visit: Visit;
  readonly client: UpgradeClient;
}

/** WebSockets: their way to an upstream, and the sessions that live through them. */
export class Upgrades {
  readonly #parts: Parts;
  readonly #tunnels: Tunnels;
  /** Sessions with a living tunnel, and how many each has: a client may try a second one. */
  readonly #sessions = new Map<Session, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: Parts) {
    const { connectMs, upgradeMs } = parts.settings.config.timeouts;
    this.#parts = parts;
    this.#tunnels = new Tunnels({ connectTimeoutMs: connectMs, upgradeTimeoutMs: upgradeMs });
  }

  /** Tunnels that stand. */
  get open(): number {
    return this.#tunnels.open;
  }

  /** An upgrade of a session that began with polling: to its owner, once. */
  async ofSession(request: UpgradeRequest, sid: string): Promise<void> {
    const { visit, client } = request;
    visit.sid = sid;
    const owner = await findOwner(this.#parts, sid);
    if (owner.kind === 'found') this.#forwardToOwner(request, owner);
    else refuseUpgrade(visit, client, owner.code);
  }

  /** A session that begins with WebSocket. */
  ofHandshake(request: UpgradeRequest): void {
    new WebSocketHandshake(this.#parts, request, {
      forward: (tunnelRequest) => {
        this.#tunnels.forward(tunnelRequest);
      },
      keep: (session) => {
        this.#keep(session);
      },
      letGo: (session) => {
        this.#letGo(session);
      },
    }).run();
  }

  /** Cuts off everything that goes through a dead upstream. */
  abort(upstream: Upstream): void {
    this.#tunnels.abort(upstream);
  }

  /** Ends everything. */
  destroy(): void {
    this.#tunnels.destroy();
    clearInterval(this.#timer);
  }

  #forwardToOwner(request: UpgradeRequest, owner: Owner & { kind: 'found' }): void {
    const { visit, client } = request;
    const { session, upstream } = owner;
    const { directory, counters } = this.#parts;
    let finished = false;
    counters.upgrades += 1;
    visit.upstream = upstream.id;
    directory.touch(session);
    this.#tunnels.forward({
      client,
      upstream,
      head: visit.requestHead({ connection: 'upgrade' }),
      idleMs: session.ttlMs,
      observe: {
        client: {
          onText: (text) => {
            finished = isUpgradePacket(text);
            return finished ? 'enough' : 'more';
          },
        },
      },
      onOpen: () => {
        counters.tunnels += 1;
        this.#keep(session);
      },
      onDone: (outcome) => {
        if (outcome.kind === 'closed') this.#letGo(session);
        this.#learn({ session, upstream, finished }, outcome);
        concludeUpgrade(visit, client, outcome);
      },
    });
  }

  /** Whether the session goes on after its upgrade has ended. */
  #learn(
    upgrade: { session: Session; upstream: Upstream; finished: boolean },
    outcome: TunnelOutcome,
  ): void {
    const { session, upstream, finished } = upgrade;
    const { directory, counters } = this.#parts;
    switch (outcome.kind) {
      case 'closed':
        // Until the client has sent `5` the session lives on polling, and may go on there.
        if (finished) directory.release(session);
        else if (saysUnknownByClosing(upstream, outcome)) {
          counters.lostSessions += 1;
          directory.release(session);
        } else directory.touch(session);
        return;
      case 'refused':
        if (!isUnknownAnswer(outcome)) return;
        counters.lostSessions += 1;
        directory.release(session);
        return;
      case 'failed':
      case 'client-gone':
        return;
    }
  }

  /** A living tunnel keeps its session's binding alive: nothing else asks for it any more. */
  #keep(session: Session): void {
    this.#sessions.set(session, (this.#sessions.get(session) ?? 0) + 1);
    this.#timer ??= setInterval(() => {
      for (const living of this.#sessions.keys()) this.#parts.directory.touch(living);
    }, TOUCH_INTERVAL_MS).unref();
  }

  /** To be called once for each {@link #keep}. */
  #letGo(session: Session): void {
    const others = (this.#sessions.get(session) ?? 1) - 1;
    if (others > 0) this.#sessions.set(session, others);
    else this.#sessions.delete(session);
    if (this.#sessions.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** netty-socketio and socketioxide say "unknown session" with a 101 and a closed connection. */
function saysUnknownByClosing(upstream: Upstream, end: TunnelEnd): boolean {
  const traits = FLAVOURS.find(({ flavour }) => flavour === upstream.flavour);
  const silent = end.by === 'upstream' && end.bytesToClient === 0;
  return silent && traits?.wsUnknown === '101-then-close';
}

function isUnknownAnswer(outcome: TunnelOutcome & { kind: 'refused' }): boolean {
  const { head, sample } = outcome;
  if (sample === undefined) return false;
  const flavour = saysSessionUnknown({
    status: head.status,
    contentType: headerValue(head.rawHeaders, 'content-type'),
    contentLength: head.framing === 'length' ? head.contentLength : undefined,
    chunked: head.framing === 'chunked',
    body: sample.toString('latin1'),
  });
  return flavour !== undefined;
}
