import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import httpProxy from 'http-proxy';
import type { ErrorCode } from '../errors.ts';
import { appRequestHeaders, isRepeatable, requestFlaw, upgradeFlaw } from './app-messages.ts';
import { AppRotation, Turns } from './app-target.ts';
import type { Attempt, AttemptEvents, Turn } from './app-target.ts';
import { UpgradeAttempt } from './app-upgrade.ts';
import { WebAttempt } from './app-web.ts';
import { answerPlainly, plainAnswer } from './plain-answer.ts';
import { UpgradeClient } from './upgrade-client.ts';

/** What a route to web apps needs to know. */
export interface AppRouteOptions {
  /** Base URLs (http or https) of one or more equal apps; at least one. */
  readonly urls: readonly string[];
  /** Limit of one connect in milliseconds, TLS included. */
  readonly connectTimeoutMs: number;
  /** Time without a byte in either direction until an answer begins, in milliseconds. */
  readonly upstreamTimeoutMs: number;
  /** Time until an upgrade is answered, in milliseconds. */
  readonly upgradeTimeoutMs: number;
  /** Largest body in chunks, in bytes; one that tells its length is the caller's to refuse. */
  readonly bodyLimitBytes: number;
  /**
   * Called for each failure of an app, those that another app made good included; a client that
   * leaves is no failure.
   */
  onError(code: ErrorCode, cause: Error): void;
}

/** Forwarding headers, written in place of all such headers of the client. */
type Forwarding = readonly (readonly [string, string])[];

const NO_BYTES = Buffer.alloc(0);

/**
 * Ordinary web apps behind `http-proxy`, HTTP and WebSocket.
 *
 * A request goes to the apps in turn; one that could not be reached is passed over for a second. A
 * request without a body is sent to the next app if the connect failed, and once more over a new
 * connection if a pooled one died before a byte of answer. Every other failure is answered with 502
 * or 504, or ends an answer that has begun.
 *
 * `http-proxy` 1.18.1 has had no release since 2020. It is used unmodified, and what it would do
 * wrong by itself is kept from happening outside of it:
 * - It parses URLs in a way that throws and merges slashes, rewrites the framing of `DELETE`, and
 *   forwards hop-by-hop headers, `Expect` and `Trailer` (the last makes Node throw where nobody can
 *   catch it). So path and header of the request are made here, complete, and the library's own are
 *   discarded (`libraryOptions`). Nothing is changed on a request once it exists.
 * - It does not look at answers: odd status, reason, framing or trailers crash it or confuse the
 *   client. So answers are checked and written here (`app-messages.ts`, `app-web.ts`).
 * - It keeps the app busy for clients that have left, and clients waiting for apps that have died,
 *   and knows no limit of time before the answer. So each side's end ends the other's
 *   (`app-web.ts`, `app-upgrade.ts`), and connect, answer and upgrade have limits.
 * - Its WebSocket side has no error listener before the tunnel stands, does not read the client
 *   until then, mangles refusals, shares pooled connections, and leaves half a tunnel behind
 *   (`app-upgrade.ts`, `upgrade-client.ts`; upgrades never use a pool).
 * - By default it pools no connections and believes the client's forwarding headers. Pools are
 *   given to it, and forwarding headers are the caller's.
 *
 * Left to the caller: limits of body, header and pipelining, and the settings of the server.
 */
export class AppRoute {
  readonly #options: AppRouteOptions;
  readonly #rotation: AppRotation;
  readonly #proxy = httpProxy.createProxyServer({
    toProxy: true,
    ignorePath: true,
    selfHandleResponse: true,
  });
  /** The current attempt of each request, which is what `http-proxy` knows an event by. */
  readonly #attempts = new WeakMap<IncomingMessage, Attempt>();
  /** Answers that run, and both sides of tunnels. */
  readonly #open = new Set<ServerResponse | Duplex>();

  constructor(options: AppRouteOptions) {
    this.#options = options;
    this.#rotation = new AppRotation(options.urls);
    this.#proxy.on('proxyReq', (request, req) => this.#attempts.get(req)?.onRequest(request));
    this.#proxy.on('proxyReqWs', (request, req) => this.#attempts.get(req)?.onRequest(request));
    this.#proxy.on('open', (tunnel) => {
      this.#track(tunnel);
    });
    this.#proxy.on('proxyRes', (answer, req) => this.#attempts.get(req)?.onAnswer(answer));
  }

  /** Sends a request on and its answer back. */
  web(req: IncomingMessage, res: ServerResponse, forwarded: Forwarding): void {
    const flaw = requestFlaw(req);
    if (flaw !== undefined) {
      answerPlainly(res, flaw);
      return;
    }
    this.#track(res);
    res.once('close', () => {
      if (!res.writableFinished) this.#attempts.get(req)?.abort();
    });
    this.#limitChunks(req);
    this.#begin({
      req,
      turns: new Turns(this.#rotation, { repeatable: isRepeatable(req) }),
      attempt: (events) => new WebAttempt(res, this.#options, events),
      send: (turn, attempt) => {
        const connection = turn.pooled ? 'keep-alive' : 'close';
        const headers = appRequestHeaders(req, { forwarding: forwarded, connection });
        this.#proxy.web(req, res, libraryOptions(turn, req, headers), (error) => {
          attempt.onError(error);
        });
      },
      answer: (code) => {
        answerPlainly(res, code);
      },
    });
  }

  /** Sends a WebSocket upgrade on; once the app agrees, bytes pass both ways until either side ends. */
  upgrade(req: IncomingMessage, socket: Duplex, head: Buffer, forwarded: Forwarding): void {
    const client = new UpgradeClient(socket, head);
    const flaw = upgradeFlaw(req);
    if (flaw !== undefined) {
      client.refuse(plainAnswer(flaw));
      return;
    }
    this.#track(socket);
    client.onGone = () => this.#attempts.get(req)?.abort();
    this.#begin({
      req,
      turns: new Turns(this.#rotation, { repeatable: true }),
      attempt: (events) => new UpgradeAttempt(client, this.#options, events),
      send: (turn, attempt) => {
        const headers = appRequestHeaders(req, { forwarding: forwarded, connection: 'upgrade' });
        const options = libraryOptions({ ...turn, pooled: false }, req, headers);
        this.#proxy.ws(req, socket, NO_BYTES, options, () => undefined);
        attempt.takeOver();
      },
      answer: (code) => {
        client.refuse(plainAnswer(code));
      },
    });
  }

  /** Keeps no connection idle from now on; requests and tunnels that run go on. */
  close(): void {
    for (const app of this.#rotation.apps) app.close();
  }

  /** Ends everything at once, requests and tunnels that run included. */
  destroy(): void {
    for (const stream of this.#open) stream.destroy();
    for (const app of this.#rotation.apps) app.agent.destroy();
  }

  #begin<A extends Attempt>(exchange: Exchange<A>): void {
    const turn = exchange.turns.first();
    if (turn === undefined) exchange.answer('NO_UPSTREAM');
    else this.#send(exchange, turn);
  }

  #send<A extends Attempt>(exchange: Exchange<A>, turn: Turn): void {
    const options = this.#options;
    const attempt = exchange.attempt({
      onFailure: (failure) => {
        options.onError(failure.code, failure.cause);
        const next = exchange.turns.after(turn, failure);
        if (next === undefined) exchange.answer(failure.code);
        else this.#send(exchange, next);
      },
      onCut: (cause) => {
        options.onError('UPSTREAM_CUT', cause);
      },
    });
    this.#attempts.set(exchange.req, attempt);
    try {
      exchange.send(turn, attempt);
    } catch (error) {
      attempt.fail('INTERNAL', error instanceof Error ? error : new Error(String(error)));
    }
  }

  /** The length of a body in chunks shows only as it arrives. */
  #limitChunks(req: IncomingMessage): void {
    if (req.headers['transfer-encoding'] === undefined) return;
    const { bodyLimitBytes } = this.#options;
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bodyLimitBytes) return;
      const cause = new Error(`more than ${String(bodyLimitBytes)} bytes`);
      this.#attempts.get(req)?.fail('BODY_TOO_LARGE', cause);
    });
  }

  #track(stream: ServerResponse | Duplex): void {
    this.#open.add(stream);
    stream.once('close', () => {
      this.#open.delete(stream);
    });
  }
}

/** One client's request, whatever number of attempts it takes. */
interface Exchange<A extends Attempt> {
  readonly req: IncomingMessage;
  readonly turns: Turns;
  readonly attempt: (events: AttemptEvents) => A;
  readonly send: (turn: Turn, attempt: A) => void;
  readonly answer: (code: ErrorCode) => void;
}

/**
 * Options for one attempt. `ssl` is, whatever its name says, the object that the library begins its
 * request options from, and then writes its own path and headers into. They are made here and
 * cannot be written to.
 */
function libraryOptions(
  turn: Turn,
  req: IncomingMessage,
  headers: readonly string[],
): httpProxy.ServerOptions {
  const { app, pooled } = turn;
  const path = app.pathOf(req.url ?? '/');
  const fixed = (value: unknown): PropertyDescriptor => ({
    enumerable: true,
    get: () => value,
    set: () => undefined,
  });
  return {
    target: app.address,
    agent: pooled ? app.agent : false,
    ssl: Object.defineProperties(
      { servername: app.servername },
      { path: fixed(path), headers: fixed(headers) },
    ),
  };
}
