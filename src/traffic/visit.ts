import type { IncomingMessage } from 'node:http';
import { TLSSocket } from 'node:tls';
import type { RequestBody } from '../forward/relay.ts';
import { clientAddress, forwardingHeaders } from '../forwarding.ts';
import { headerCount, headerValue, requestLines } from '../headers.ts';
import { logAccess, sidHash } from '../log.ts';
import type { Logger } from '../log.ts';
import type { Settings } from './parts.ts';

const ACCEPT_ENCODING: ReadonlySet<string> = new Set(['accept-encoding']);

/** How the request to the upstream differs from the client's. */
export interface Rewrite {
  readonly connection: 'keep-alive' | 'close' | 'upgrade';
  /** Ask for an uncompressed answer, to read the open packet in it. */
  readonly plainAnswer?: boolean;
  /** Header lines in place of the client's. */
  readonly rawHeaders?: readonly string[];
}

/** How a client's request ended, for the access log. */
export interface Ending {
  /** Status the client got; 499 when it left first. */
  readonly status: number;
  readonly bytes: number;
  /** `ok`, or an error code. */
  readonly outcome: string;
}

/** One request of a client: what is known about it, from its header to its access line. */
export class Visit {
  readonly req: IncomingMessage;
  readonly settings: Settings;
  transport: string | undefined;
  upstream: string | undefined;
  sid: string | undefined;
  readonly #log: Logger;
  readonly #startedMs: number;
  readonly #remoteAddress: string;
  #forwarding: readonly (readonly [string, string])[] | undefined;
  #over = false;

  constructor(req: IncomingMessage, settings: Settings, log: Logger) {
    this.req = req;
    this.settings = settings;
    this.#log = log;
    this.#startedMs = performance.now();
    this.#remoteAddress = req.socket.remoteAddress ?? '';
  }

  get method(): string {
    return this.req.method ?? 'GET';
  }

  /** Path and query, byte for byte as the client sent them. */
  get target(): string {
    return this.req.url ?? '/';
  }

  get origin(): string | undefined {
    return this.req.headers.origin;
  }

  /** The header fields that tell an upstream about the client. */
  get forwarding(): readonly (readonly [string, string])[] {
    this.#forwarding ??= this.#forwardingHeaders();
    return this.#forwarding;
  }

  /** How the request's body is framed. */
  get body(): RequestBody {
    const { rawHeaders } = this.req;
    if (headerCount(rawHeaders, 'transfer-encoding') > 0) return 'chunked';
    const length = headerValue(rawHeaders, 'content-length');
    return length === undefined || Number(length) === 0 ? 'none' : 'length';
  }

  /** Request line and header block for an upstream, the empty line included. */
  requestHead(rewrite: Rewrite): string {
    const rawHeaders = rewrite.rawHeaders ?? this.req.rawHeaders;
    const { forwarding } = this;
    const { connection } = rewrite;
    const lines = rewrite.plainAnswer
      ? requestLines(rawHeaders, { forwarding, connection, drop: ACCEPT_ENCODING })
      : requestLines(rawHeaders, { forwarding, connection });
    return `${this.method} ${this.target} HTTP/1.1\r\n${lines}\r\n`;
  }

  /** Writes the access line, once. */
  finish(ending: Ending): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.settings.config.log.access) return;
    logAccess(this.#log, {
      method: this.method,
      path: this.target,
      status: ending.status,
      transport: this.transport,
      upstream: this.upstream,
      sid: this.sid === undefined ? undefined : sidHash(this.sid),
      ms: Math.round((performance.now() - this.#startedMs) * 10) / 10,
      bytes: ending.bytes,
      outcome: ending.outcome,
    });
  }

  #forwardingHeaders(): readonly (readonly [string, string])[] {
    const { rawHeaders, socket } = this.req;
    const { trustedProxies } = this.settings;
    const facts = {
      remoteAddress: this.#remoteAddress,
      clientAddress: clientAddress(rawHeaders, this.#remoteAddress, trustedProxies),
      secure: socket instanceof TLSSocket,
      trusted: trustedProxies.has(this.#remoteAddress),
    };
    return forwardingHeaders(rawHeaders, facts, headerValue(rawHeaders, 'host'));
  }
}
