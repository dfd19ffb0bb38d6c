import { readOpenMessage } from '../engineio/open-packet.ts';
import { recogniseFlavour } from '../engineio/flavours.ts';
import { carriedSids, withoutIoCookie } from '../engineio/sid.ts';
import type { OpenPacket } from '../engineio/types.ts';
import type { ErrorCode } from '../errors.ts';
import type { ResponseHead } from '../forward/response-head.ts';
import type { Tunnel } from '../forward/tunnel.ts';
import type { TunnelOutcome, TunnelRequest } from '../forward/tunnels.ts';
import type { UpgradeClient } from '../forward/upgrade-client.ts';
import { headerValue } from '../headers.ts';
import type { Session } from '../sessions/directory.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { concludeUpgrade, refuseUpgrade } from './respond.ts';
import { timeToLiveMs } from './session.ts';
import type { Visit } from './visit.ts';

/** What a WebSocket handshake asks of those who look after tunnels. */
export interface TunnelKeeper {
  forward(request: TunnelRequest): void;
  /** The session lives as long as its tunnel does. */
  keep(session: Session): void;
  /** Its tunnel has ended; once for each `keep`. */
  letGo(session: Session): void;
}

/**
 * A handshake over WebSocket. The 101 and the frames pass at once, since nothing but this very
 * connection will use the session; its open packet is read on the side and bound, for counting and
 * for those who look the session up. An upstream that cannot be reached is passed over.
 */
export class WebSocketHandshake {
  readonly #parts: Parts;
  readonly #visit: Visit;
  readonly #client: UpgradeClient;
  readonly #keeper: TunnelKeeper;
  readonly #tried = new Set<Upstream>();
  #lastError: ErrorCode | undefined;
  #tunnel: Tunnel | undefined;
  #head: ResponseHead | undefined;
  #session: Session | undefined;
  #over = false;

  constructor(
    parts: Parts,
    request: { readonly visit: Visit; readonly client: UpgradeClient },
    keeper: TunnelKeeper,
  ) {
    this.#parts = parts;
    this.#visit = request.visit;
    this.#client = request.client;
    this.#keeper = keeper;
  }

  /** Chooses an upstream and forwards; returns at once. */
  run(): void {
    const upstream = this.#parts.pool.pick(this.#tried);
    if (upstream === undefined) {
      this.#parts.counters.handshakesFailed += 1;
      refuseUpgrade(this.#visit, this.#client, this.#lastError ?? 'NO_UPSTREAM');
      return;
    }
    this.#forward(upstream);
  }

  #forward(upstream: Upstream): void {
    const { config } = this.#visit.settings;
    this.#parts.counters.upgrades += 1;
    this.#visit.upstream = upstream.id;
    const countOut = countIn(upstream);
    this.#keeper.forward({
      client: this.#client,
      upstream,
      head: this.#visit.requestHead({ connection: 'upgrade', rawHeaders: this.#rawHeaders() }),
      // Until the open packet tells how long the session may be silent.
      idleMs: config.timeouts.upstreamMs,
      observe: {
        upstream: {
          onText: (text) => {
            void this.#bind(upstream, text).finally(countOut);
            return 'enough';
          },
          onLost: countOut,
        },
      },
      onOpen: (tunnel, head) => {
        this.#parts.counters.tunnels += 1;
        this.#tunnel = tunnel;
        this.#head = head;
      },
      onDone: (outcome) => {
        countOut();
        this.#done(upstream, outcome);
      },
    });
  }

  #rawHeaders(): readonly string[] {
    const { rawHeaders } = this.#visit.req;
    const withhold = this.#visit.settings.config.ioCookie === 'withhold';
    return withhold ? withoutIoCookie(rawHeaders) : rawHeaders;
  }

  async #bind(upstream: Upstream, text: string): Promise<void> {
    const open = readOpenMessage(text);
    if (open === undefined) {
      this.#parts.counters.handshakesRefused += 1;
      return;
    }
    this.#visit.sid = open.sid;
    this.#learnFlavour(upstream, open);
    const { directory, pool, counters } = this.#parts;
    const ttlMs = timeToLiveMs(open);
    if (this.#tunnel !== undefined) this.#tunnel.idleMs = ttlMs;
    // A reload may have given its id to another server: this session lives by its tunnel alone.
    if (upstream.removed) return;
    const claim = await directory.claim(open.sid, upstream.id, {
      ttlMs,
      carried: carriedSids(this.#rawHeaders()).includes(open.sid),
      holderLives: (id) => pool.get(id)?.dead === false,
    });
    counters.handshakes += 1;
    if (claim.kind === 'collision') {
      // It cannot be undone any more, and need not be: this session never asks over HTTP.
      counters.collisions += 1;
      return;
    }
    if (!claim.published) counters.unpublishedBindings += 1;
    if (this.#over) {
      directory.release(claim.session);
      return;
    }
    this.#session = claim.session;
    this.#keeper.keep(claim.session);
  }

  #learnFlavour(upstream: Upstream, open: OpenPacket): void {
    const rawHeaders = this.#head?.rawHeaders ?? [];
    const flavour = recogniseFlavour(open, (name) => headerValue(rawHeaders, name));
    // A 101 shows less than a polling answer: it must not unlearn what that has shown.
    if (flavour !== 'unknown' && upstream.flavour === 'unknown') upstream.flavour = flavour;
  }

  #done(upstream: Upstream, outcome: TunnelOutcome): void {
    if (mayTryAnother(outcome)) {
      this.#tried.add(upstream);
      this.#lastError = outcome.error.code;
      this.#parts.counters.handshakesRetried += 1;
      this.run();
      return;
    }
    this.#over = true;
    if (this.#session !== undefined) {
      this.#keeper.letGo(this.#session);
      this.#parts.directory.release(this.#session);
    }
    if (outcome.kind === 'failed') this.#parts.counters.handshakesFailed += 1;
    concludeUpgrade(this.#visit, this.#client, outcome);
  }
}

/** Counts a handshake in flight; what it returns ends that, once. */
function countIn(upstream: Upstream): () => void {
  let counted = true;
  upstream.handshakesInFlight += 1;
  return () => {
    if (counted) upstream.handshakesInFlight -= 1;
    counted = false;
  };
}

/** Nothing of an answer had come and the client has seen nothing: another upstream may be asked. */
function mayTryAnother(outcome: TunnelOutcome): outcome is TunnelOutcome & { kind: 'failed' } {
  if (outcome.kind !== 'failed' || outcome.started || outcome.answering) return false;
  return outcome.error.code !== 'SHUTTING_DOWN';
}
