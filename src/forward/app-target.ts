import http from 'node:http';
import type { ClientRequest, IncomingMessage } from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { ErrorCode } from '../errors.ts';
import { TCP_KEEP_ALIVE_MS } from './dial.ts';

/** An app that could not be reached is passed over for this long while others can be asked. */
const AVOID_MS = 1000;
/** Idle time of a pooled connection: below the 5 s after which Node and uvicorn servers close it. */
const MAX_IDLE_MS = 4000;

/** Why one attempt at a request failed. */
export interface Failure {
  readonly code: ErrorCode;
  readonly cause: Error;
  /**
   * What a request without a body may do now. `elsewhere`: nothing was sent, so another app may be
   * asked. `afresh`: a pooled connection died before a byte of answer, as it does when its app had
   * just given it up; a new one may be tried. `never`: the app may have acted on it.
   */
  readonly repeat: 'elsewhere' | 'afresh' | 'never';
}

/** What an {@link Attempt} tells. */
export interface AttemptEvents {
  /** At most once; the client has not been answered then. */
  onFailure(failure: Failure): void;
  /** The app died after its answer had begun; the client has been cut off. */
  onCut(cause: Error): void;
}

/** One try to have a request answered by one app. */
export interface Attempt {
  /** `http-proxy` has made the request. */
  onRequest(request: ClientRequest): void;
  onAnswer(answer: IncomingMessage): void;
  onError(error: Error): void;
  /** The client has left: the app learns it now, and nothing is told. */
  abort(): void;
  fail(code: ErrorCode, cause: Error, repeat?: Failure['repeat']): void;
}

/** One attempt: which app, and whether over a pooled connection. */
export interface Turn {
  readonly app: AppTarget;
  readonly pooled: boolean;
}

/** One web app, by its URL, and the idle connections to it. */
export class AppTarget {
  /** The URL as `http-proxy` takes it, which so has nothing to parse. */
  readonly address: { protocol: string; host: string; hostname: string; port: number };
  /** For TLS: the app's own name. Node would take the client's `Host`, which the app may not know. */
  readonly servername: string;
  readonly agent: http.Agent;
  /** When it was last found out of reach; `performance.now()`. */
  unreachableAtMs: number = -Infinity;
  readonly #basePath: string;

  constructor(text: string) {
    const url = new URL(text);
    const secure = url.protocol === 'https:';
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
    const port = url.port === '' ? (secure ? 443 : 80) : Number(url.port);
    this.address = { protocol: url.protocol, host, hostname: host, port };
    this.servername = net.isIP(host) === 0 ? host : '';
    this.#basePath = url.pathname.replace(/\/$/, '');
    const Agent = secure ? https.Agent : http.Agent;
    this.agent = new Agent({
      keepAlive: true,
      keepAliveMsecs: TCP_KEEP_ALIVE_MS,
      timeout: MAX_IDLE_MS,
    });
  }

  /** Path and query to ask for: the client's own, behind the path of the app's URL if it has one. */
  pathOf(requestUrl: string): string {
    return this.#basePath + requestUrl;
  }

  /** Keeps no connection idle from now on; requests that run go on. */
  close(): void {
    this.agent.maxFreeSockets = 0;
    for (const sockets of Object.values(this.agent.freeSockets)) {
      for (const socket of sockets ?? []) socket.destroy();
    }
  }
}

/** The apps of one route, in turn. */
export class AppRotation {
  readonly apps: readonly AppTarget[];
  #next = 0;

  constructor(urls: readonly string[]) {
    this.apps = urls.map((url) => new AppTarget(url));
  }

  /** The next app that has not been tried, one that could be reached lately if there is such. */
  pick(tried: ReadonlySet<AppTarget>): AppTarget | undefined {
    const sinceMs = performance.now() - AVOID_MS;
    const { apps } = this;
    const inTurn = apps.map((_, i) => apps[(this.#next + i) % apps.length]);
    const left = inTurn.filter((app) => app !== undefined && !tried.has(app));
    const app = left.find((candidate) => (candidate?.unreachableAtMs ?? 0) < sinceMs) ?? left[0];
    if (app !== undefined) this.#next = apps.indexOf(app) + 1;
    return app;
  }
}

/** Which apps one request is sent to, attempt by attempt. */
export class Turns {
  readonly #rotation: AppRotation;
  readonly #repeatable: boolean;
  readonly #tried = new Set<AppTarget>();

  constructor(rotation: AppRotation, request: { readonly repeatable: boolean }) {
    this.#rotation = rotation;
    this.#repeatable = request.repeatable;
  }

  /** The first attempt. */
  first(): Turn | undefined {
    return this.#elsewhere();
  }

  /** The attempt after a failed one; undefined when the client has to be told. */
  after(turn: Turn, failure: Failure): Turn | undefined {
    if (failure.code === 'UPSTREAM_CONNECT') turn.app.unreachableAtMs = performance.now();
    if (!this.#repeatable) return undefined;
    switch (failure.repeat) {
      case 'elsewhere':
        return this.#elsewhere();
      case 'afresh':
        return { app: turn.app, pooled: false };
      case 'never':
        return undefined;
    }
  }

  #elsewhere(): Turn | undefined {
    const app = this.#rotation.pick(this.#tried);
    if (app === undefined) return undefined;
    this.#tried.add(app);
    return { app, pooled: true };
  }
}
