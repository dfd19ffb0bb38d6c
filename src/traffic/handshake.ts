import type { ServerResponse } from 'node:http';
import { decodeBody } from '../engineio/content-coding.ts';
import { recogniseFlavour } from '../engineio/flavours.ts';
import { readOpenPacket } from '../engineio/open-packet.ts';
import { carriedSids, withoutIoCookie } from '../engineio/sid.ts';
import type { EngineQuery, OpenPacket } from '../engineio/types.ts';
import { ERRORS } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { writeHeldAnswer } from '../forward/answer.ts';
import type { HeldAnswer } from '../forward/answer.ts';
import { MAX_HELD_BYTES } from '../forward/relay.ts';
import type { RelayOutcome } from '../forward/relay.ts';
import { headerValue } from '../headers.ts';
import { closeSession } from '../upstreams/check.ts';
import type { Upstream } from '../upstreams/upstream.ts';
import type { Parts } from './parts.ts';
import { refuse } from './respond.ts';
import { timeToLiveMs } from './session.ts';
import type { Visit } from './visit.ts';

/** Upstreams that hand out the same sids are tried this often before the client is refused. */
const MAX_COLLISIONS = 16;
/** From this collision on the holder of the sid is asked: its counter is the one further on. */
const COLLISIONS_BEFORE_HOLDER = 2;

type Progress = 'done' | 'again';

/**
 * A handshake over polling: chooses an upstream, reads the sid from its answer, binds it, and only
 * then lets the client see it. Until an upstream has sent a byte, failures are retried on others.
 */
export class Handshake {
  readonly #parts: Parts;
  readonly #visit: Visit;
  readonly #res: ServerResponse;
  readonly #query: EngineQuery;
  readonly #path: string;
  readonly #tried = new Set<Upstream>();
  #collisions = 0;
  #preferred: Upstream | undefined;
  #lastError: ErrorCode | undefined;

  constructor(
    parts: Parts,
    request: { visit: Visit; res: ServerResponse; query: EngineQuery; path: string },
  ) {
    this.#parts = parts;
    this.#visit = request.visit;
    this.#res = request.res;
    this.#query = request.query;
    this.#path = request.path;
  }

  /** Resolves when the client has its answer or is gone; never rejects but for bugs. */
  async run(): Promise<void> {
    let progress: Progress = 'again';
    while (progress === 'again') {
      const upstream = this.#preferred ?? this.#parts.pool.pick(this.#tried);
      this.#preferred = undefined;
      if (upstream === undefined) {
        this.#refuse(this.#lastError ?? 'NO_UPSTREAM');
        return;
      }
      progress = await this.#attempt(upstream);
    }
  }

  async #attempt(upstream: Upstream): Promise<Progress> {
    this.#visit.upstream = upstream.id;
    upstream.handshakesInFlight += 1;
    try {
      const outcome = await this.#forward(upstream);
      return await this.#settle(upstream, outcome);
    } finally {
      upstream.handshakesInFlight -= 1;
    }
  }

  async #forward(upstream: Upstream): Promise<RelayOutcome> {
    const { config } = this.#visit.settings;
    const rawHeaders =
      config.ioCookie === 'withhold'
        ? withoutIoCookie(this.#visit.req.rawHeaders)
        : this.#visit.req.rawHeaders;
    return new Promise((resolve) => {
      this.#parts.relays.forward({
        req: this.#visit.req,
        res: this.#res,
        upstream,
        head: (connection) =>
          this.#visit.requestHead({ connection, rawHeaders, plainAnswer: true }),
        body: 'none',
        bodyLimitBytes: 0,
        answerMs: config.timeouts.handshakeMs,
        mode: 'hold',
        onDone: resolve,
      });
    });
  }

  async #settle(upstream: Upstream, outcome: RelayOutcome): Promise<Progress> {
    switch (outcome.kind) {
      case 'client-gone':
        this.#clientGone();
        return 'done';
      case 'answered':
        this.#parts.counters.handshakesRefused += 1;
        this.#visit.finish({ status: outcome.head.status, bytes: outcome.bytes, outcome: 'ok' });
        return 'done';
      case 'failed':
        return this.#failed(upstream, outcome);
      case 'held':
        return this.#answered(upstream, outcome.answer);
    }
  }

  #failed(upstream: Upstream, outcome: RelayOutcome & { kind: 'failed' }): Progress {
    const { error, started, answering } = outcome;
    if (answering) {
      this.#visit.finish({ status: error.status, bytes: 0, outcome: error.code });
      return 'done';
    }
    this.#parts.log.warn({ upstream: upstream.id, err: error }, 'handshake failed on an upstream');
    if (started || error.code === 'SHUTTING_DOWN') {
      this.#refuse(error.code);
      return 'done';
    }
    this.#tried.add(upstream);
    this.#lastError = error.code;
    this.#parts.counters.handshakesRetried += 1;
    return 'again';
  }

  async #answered(upstream: Upstream, answer: HeldAnswer): Promise<Progress> {
    const open = readOpen(answer);
    if (open === undefined) {
      this.#parts.counters.handshakesRefused += 1;
      this.#release(answer);
      return 'done';
    }
    const flavour = recogniseFlavour(open, (name) => headerValue(answer.head.rawHeaders, name));
    if (flavour !== 'unknown') upstream.flavour = flavour;
    const { directory, pool, counters } = this.#parts;
    const claim = await directory.claim(open.sid, upstream.id, {
      ttlMs: timeToLiveMs(open),
      carried: this.#carries(open.sid),
      holderLives: (id) => pool.get(id)?.dead === false,
    });
    if (claim.kind === 'collision') return this.#collided(upstream, open, claim.holder);
    if (!claim.published) counters.unpublishedBindings += 1;
    if (upstream.removed) {
      // A reload took it away meanwhile, or gave its id to another server.
      directory.release(claim.session);
      this.#close(upstream, open);
      this.#tried.add(upstream);
      return 'again';
    }
    this.#visit.sid = open.sid;
    if (this.#res.destroyed) {
      directory.release(claim.session);
      this.#close(upstream, open);
      this.#clientGone();
      return 'done';
    }
    counters.handshakes += 1;
    this.#release(answer);
    return 'done';
  }

  /**
   * The sid belongs to another upstream's living session: neither could be told from the other.
   * The new session is closed where it was made and the handshake made again.
   */
  #collided(upstream: Upstream, open: OpenPacket, holder: string): Progress {
    this.#parts.counters.collisions += 1;
    this.#collisions += 1;
    this.#parts.log.warn(
      { upstream: upstream.id, holder },
      'two upstreams hand out the same sid; give their session ids a random part',
    );
    this.#close(upstream, open);
    if (this.#res.destroyed) {
      this.#clientGone();
      return 'done';
    }
    if (this.#collisions >= MAX_COLLISIONS) {
      this.#refuse('SID_COLLISION');
      return 'done';
    }
    this.#preferred =
      this.#collisions < COLLISIONS_BEFORE_HOLDER ? upstream : this.#parts.pool.get(holder);
    return 'again';
  }

  #carries(sid: string): boolean {
    if (this.#visit.settings.config.ioCookie === 'withhold') return false;
    return carriedSids(this.#visit.req.rawHeaders).includes(sid);
  }

  /** In the background: if it fails, the upstream's own ping timeout ends the session. */
  #close(upstream: Upstream, open: OpenPacket): void {
    const session = { enginePath: this.#path, version: this.#query.eio ?? '3', open };
    const limit = AbortSignal.timeout(this.#visit.settings.config.health.timeoutMs);
    void closeSession(upstream.config, session, limit);
  }

  #release(answer: HeldAnswer): void {
    writeHeldAnswer(this.#res, answer);
    const { status } = answer.head;
    this.#visit.finish({ status, bytes: answer.body.length, outcome: 'ok' });
  }

  #clientGone(): void {
    this.#visit.finish({ status: ERRORS.CLIENT_GONE.status, bytes: 0, outcome: 'CLIENT_GONE' });
  }

  #refuse(code: ErrorCode): void {
    this.#parts.counters.handshakesFailed += 1;
    refuse(this.#visit, this.#res, code);
  }
}

function readOpen(answer: HeldAnswer): OpenPacket | undefined {
  const { status, rawHeaders } = answer.head;
  if (status !== 200) return undefined;
  const coding = headerValue(rawHeaders, 'content-encoding');
  const body = decodeBody(answer.body, coding, MAX_HELD_BYTES);
  return body === undefined ? undefined : readOpenPacket(body);
}
