import type { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { intentOf } from './engineio/intent.ts';
import { readTarget } from './engineio/target.ts';
import type { EngineQuery } from './engineio/types.ts';
import { UnstickyError } from './errors.ts';
import type { ErrorCode } from './errors.ts';
import { UpgradeClient } from './forward/upgrade-client.ts';
import { inspectRequest, inspectUpgrade } from './guard.ts';
import type { Routes } from './routes.ts';
import { Handshake } from './traffic/handshake.ts';
import type { Parts } from './traffic/parts.ts';
import { servePreflight } from './traffic/preflight.ts';
import { refuse, refusePlain, refuseUpgrade } from './traffic/respond.ts';
import { findOwner, forwardToOwner } from './traffic/session.ts';
import type { Owner } from './traffic/session.ts';
import { forwardStateless } from './traffic/stateless.ts';
import type { UpgradeRequest, Upgrades } from './traffic/upgrades.ts';
import { Visit } from './traffic/visit.ts';

/** A request under an Engine.IO path, read. */
interface EngineRequest {
  readonly visit: Visit;
  readonly res: ServerResponse;
  readonly path: string;
  readonly query: EngineQuery;
}

/**
 * Decides where each request goes: by its path, then by what its query says of a session. Opens no
 * socket and knows no store; it asks those who do.
 */
export class Router {
  readonly #parts: Parts;
  readonly #upgrades: Upgrades;
  #routes: Routes;

  constructor(parts: Parts, upgrades: Upgrades, routes: Routes) {
    this.#parts = parts;
    this.#upgrades = upgrades;
    this.#routes = routes;
  }

  /** Takes over new routes and returns the old ones, which their owner closes. */
  replaceRoutes(routes: Routes): Routes {
    const old = this.#routes;
    this.#routes = routes;
    return old;
  }

  readonly onRequest = (req: IncomingMessage, res: ServerResponse): void => {
    const { settings, log, counters } = this.#parts;
    const { config } = settings;
    const visit = new Visit(req, settings, log);
    const reading = readTarget(visit.target, config.paths);
    const isEngine = reading.kind !== 'foreign';
    const refused = inspectRequest(req, {
      headerLines: config.limits.headerLines,
      bodyBytes: config.limits.bodyBytes,
      bodies: isEngine ? 'post-only' : 'any-but-get',
    });
    if (refused !== undefined) {
      counters.refused += 1;
      // Where this request ends is in doubt, and so where the next one would begin. A body that is
      // merely too large is read and dropped: closed at once, its client would not see the answer.
      if (refused !== 'BODY_TOO_LARGE') res.shouldKeepAlive = false;
      (isEngine ? refuse : refusePlain)(visit, res, refused);
      return;
    }
    switch (reading.kind) {
      case 'foreign':
        this.#serveApp(visit, res);
        return;
      case 'malformed':
        counters.refused += 1;
        refuse(visit, res, 'SID_MALFORMED');
        return;
      case 'engine':
        this.#serveEngine({ visit, res, path: reading.path, query: reading.query });
        return;
    }
  };

  readonly onUpgrade = (req: IncomingMessage, socket: Duplex, head: Buffer): void => {
    // Node promises no more than a stream, but hands over the connection itself, TLS or not.
    if (!(socket instanceof Socket)) throw new UnstickyError('INTERNAL', 'upgrade without socket');
    const { settings, log } = this.#parts;
    const visit = new Visit(req, settings, log);
    visit.transport = 'websocket';
    const refused = inspectUpgrade(req, settings.config.limits);
    const reading = readTarget(visit.target, settings.config.paths);
    if (refused === undefined && reading.kind === 'foreign') {
      this.#upgradeApp(visit, socket, head);
      return;
    }
    // Node hands over a net.Socket or, with TLS, its subclass.
    const client = new UpgradeClient(socket, head);
    if (refused !== undefined || reading.kind !== 'engine') {
      this.#refuseUpgrade(visit, client, refused ?? 'SID_MALFORMED');
      return;
    }
    this.#upgradeEngine({ visit, client }, reading.query);
  };

  #upgradeEngine(request: UpgradeRequest, query: EngineQuery): void {
    const intent = intentOf(request.visit.method, query, true);
    switch (intent.kind) {
      case 'session':
        void this.#upgrades.ofSession(request, intent.sid);
        return;
      case 'handshake':
        this.#upgrades.ofHandshake(request);
        return;
      case 'stateless':
      case 'preflight':
        this.#refuseUpgrade(request.visit, request.client, 'BAD_UPGRADE');
        return;
      case 'refuse':
        this.#refuseUpgrade(request.visit, request.client, intent.code);
        return;
    }
  }

  #refuseUpgrade(visit: Visit, client: UpgradeClient, code: ErrorCode): void {
    this.#parts.counters.refused += 1;
    refuseUpgrade(visit, client, code);
  }

  #serveEngine(request: EngineRequest): void {
    const { visit, res, query } = request;
    visit.transport = 'polling';
    const intent = intentOf(visit.method, query, false);
    switch (intent.kind) {
      case 'session':
        this.#serveSession(request, intent.sid);
        return;
      case 'handshake':
        void new Handshake(this.#parts, request).run();
        return;
      case 'stateless':
        forwardStateless(this.#parts, { visit, res });
        return;
      case 'preflight':
        void servePreflight(this.#parts, request);
        return;
      case 'refuse':
        this.#parts.counters.refused += 1;
        refuse(visit, res, intent.code);
        return;
    }
  }

  #serveSession(request: EngineRequest, sid: string): void {
    request.visit.sid = sid;
    const owner = findOwner(this.#parts, sid);
    if (owner instanceof Promise) {
      void owner.then((found) => {
        this.#serveOwner(request, found);
      });
    } else this.#serveOwner(request, owner);
  }

  #serveOwner(request: EngineRequest, owner: Owner): void {
    const { visit, res } = request;
    if (owner.kind === 'found') forwardToOwner(this.#parts, { visit, res, owner });
    else refuse(visit, res, owner.code);
  }

  #serveApp(visit: Visit, res: ServerResponse): void {
    if (!this.#routes.serve(visit.req, res, () => visit.forwarding)) {
      refusePlain(visit, res, 'NOT_FOUND');
      return;
    }
    visit.transport = 'http';
    res.once('close', () => {
      visit.finish({
        status: res.writableFinished ? res.statusCode : 499,
        bytes: 0,
        outcome: res.writableFinished ? 'ok' : 'CLIENT_GONE',
      });
    });
  }

  #upgradeApp(visit: Visit, socket: Socket, head: Buffer): void {
    if (!this.#routes.upgrade(visit.req, { socket, head }, () => visit.forwarding)) {
      refuseUpgrade(visit, new UpgradeClient(socket, head), 'NOT_FOUND');
      return;
    }
    socket.once('close', () => {
      visit.finish({ status: 101, bytes: 0, outcome: 'ok' });
    });
  }
}
