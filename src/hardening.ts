import type { IncomingMessage, Server, ServerOptions, ServerResponse } from 'node:http';
import type { Server as TlsServer } from 'node:https';
import { TLSSocket } from 'node:tls';
import type { Duplex } from 'node:stream';
import type { Config } from './config/config.ts';
import type { ErrorCode } from './errors.ts';
import { answerSocketPlainly } from './forward/plain-answer.ts';
import { hasBody, headerValue, listContains } from './headers.ts';

/** Node enforces its time limits only at this beat. */
const CONNECTIONS_CHECK_MS = 2_000;

const TCP_KEEP_ALIVE_MS = 30_000;

const MAX_HEADER_BYTES = 16 * 1024;

/** What an upgrade's offer consists of; `Connection` names the other two. */
const OFFER_FIELDS: ReadonlySet<string> = new Set(['upgrade', 'http2-settings', 'connection']);

/**
 * Options for `http.createServer` and `https.createServer` at the edge: strict parsing, time limits
 * for slow clients, TCP keep-alive that finds half-open connections. Use with {@link hardenServer},
 * which sets what is no option.
 */
export function serverOptions({
  timeouts,
}: {
  timeouts: Pick<Config['timeouts'], 'clientHeaderMs' | 'clientRequestMs' | 'keepAliveMs'>;
}): ServerOptions & { handshakeTimeout: number } {
  return {
    insecureHTTPParser: false,
    maxHeaderSize: MAX_HEADER_BYTES,
    // The guard asks for it, and unlike Node lets the refusal be logged.
    requireHostHeader: false,
    // Node insists on this order.
    headersTimeout: Math.min(timeouts.clientHeaderMs, timeouts.clientRequestMs),
    requestTimeout: timeouts.clientRequestMs,
    connectionsCheckingInterval: CONNECTIONS_CHECK_MS,
    keepAliveTimeout: timeouts.keepAliveMs,
    handshakeTimeout: timeouts.clientHeaderMs,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
    noDelay: true,
  };
}

/** Who gets what a hardened server lets through, and hears what it refuses. */
export interface ServerHandlers {
  /** Called for one request of a connection at a time. */
  readonly onRequest: (req: IncomingMessage, res: ServerResponse) => void;
  /** Called for upgrades of any kind; the socket has an error listener already. */
  readonly onUpgrade: (req: IncomingMessage, socket: Duplex, head: Buffer) => void;
  /** The connection has been answered, if it could be, and is closing. */
  readonly onRefused: (code: ErrorCode, socket: Duplex) => void;
}

/**
 * Stands between a server and the router: takes the server's `request`, `upgrade`, `connect` and
 * `clientError` events, so that nothing reaches the handlers beside it.
 *
 * A connection has one request in flight. Node runs pipelined ones at once and has no limit for it,
 * so that one client connection could hold hundreds of upstream ones. A request behind an unanswered
 * one closes the connection without a word, since any answer would be read as the first one's; no
 * browser and no proxy pipelines. Behind an answer that is under way it waits: the client may have
 * all of it before we know.
 */
export function hardenServer(server: Server | TlsServer, handlers: ServerHandlers): void {
  const current = new WeakMap<Duplex, ServerResponse>();
  const waiting = new WeakSet<Duplex>();
  const refused = new WeakSet<Duplex>();
  const { onRequest, onUpgrade, onRefused } = handlers;

  // Lines above the default of 1000 are cut from `rawHeaders` while the parser still obeys them
  // (Node < 22.23.2, CVE-2026-58044): a hidden Transfer-Encoding smuggles. The guard counts instead.
  server.maxHeadersCount = 0;

  const refuse = (code: ErrorCode, socket: Duplex): void => {
    // What has arrived is parsed to its end all the same, and may be refused again and again.
    if (refused.has(socket)) return;
    refused.add(socket);
    if (isAnswerable(current.get(socket)) && !waiting.has(socket)) {
      answerSocketPlainly(socket, code);
    } else socket.destroy();
    onRefused(code, socket);
  };
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const { socket } = req;
    const pass = (): void => {
      current.set(socket, res);
      onRequest(req, res);
    };
    const before = current.get(socket);
    if (before === undefined || before.writableFinished) {
      pass();
    } else if (mayWait(req, before) && !waiting.has(socket)) {
      waiting.add(socket);
      before.once('finish', () => {
        waiting.delete(socket);
        if (socket.writable) pass();
      });
    } else {
      refuse('PIPELINED', socket);
    }
  });

  server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
    watchErrors(socket);
    const pass = (): void => {
      if (asksForWebSocket(req)) onUpgrade(req, socket, head);
      else readAgain(server, { req, socket, head });
    };
    const before = current.get(socket);
    if (before === undefined || before.writableFinished) {
      pass();
    } else if (before.writableEnded && socket.writableLength === 0) {
      before.once('finish', pass);
    } else {
      // Node has let go of the connection, and nothing would drain the answer that is on it.
      refuse('PIPELINED', socket);
    }
  });

  server.on('connect', (_req: IncomingMessage, socket: Duplex) => {
    watchErrors(socket);
    refuse('METHOD_NOT_ALLOWED', socket);
  });

  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // Behind a last request nothing is read, and what is there does not spoil its answer.
    if (error.code === 'HPE_CLOSED_CONNECTION') return;
    const code = codeOf(error);
    if (code === undefined) socket.destroy();
    else refuse(code, socket);
  });
}

/**
 * Whether a request may wait for the end of the answer before it. Once that has been handed to the
 * system the client may have all of it; while it is still under way it may know its end by its
 * length, but a body behind it would run into the limits of time of a request that nobody reads.
 */
function mayWait(req: IncomingMessage, before: ServerResponse): boolean {
  return before.writableEnded || (before.headersSent && !hasBody(req.rawHeaders));
}

/** Whatever breaks a connection that Node has handed over, its `close` tells. */
function watchErrors(socket: Duplex): void {
  if (!socket.listeners('error').includes(ignoreError)) socket.on('error', ignoreError);
}

function ignoreError(): void {
  // See watchErrors.
}

function asksForWebSocket(req: IncomingMessage): boolean {
  return listContains(headerValue(req.rawHeaders, 'upgrade') ?? '', 'websocket');
}

/**
 * Any other upgrade is ignored (RFC 9110 section 7.8): the JDK's HttpClient and curl offer h2c with
 * ordinary requests. Node takes each for an upgrade and lets go of the connection, so the request is
 * put back in front of it without the offer, and read anew.
 */
function readAgain(
  server: Server | TlsServer,
  upgrade: { readonly req: IncomingMessage; readonly socket: Duplex; readonly head: Buffer },
): void {
  const { req, socket, head } = upgrade;
  const { method = 'GET', url = '/', httpVersion, rawHeaders } = req;
  let text = `${method} ${url} HTTP/${httpVersion}\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i] ?? '';
    const value = rawHeaders[i + 1] ?? '';
    if (!OFFER_FIELDS.has(name.toLowerCase())) text += `${name}: ${value}\r\n`;
  }
  const options = (headerValue(rawHeaders, 'connection') ?? '').split(',');
  const others = options.filter((option) => !OFFER_FIELDS.has(option.trim().toLowerCase()));
  text += others.length > 0 ? `Connection: ${others.join(',')}\r\n\r\n` : '\r\n';
  socket.unshift(Buffer.concat([Buffer.from(text, 'latin1'), head]));
  server.emit(socket instanceof TLSSocket ? 'secureConnection' : 'connection', socket);
}

/** Whether raw bytes would be read as the answer to what they answer, and not as part of another. */
function isAnswerable(before: ServerResponse | undefined): boolean {
  if (before === undefined) return true;
  // After an early answer the rest of its request may be still on its way.
  if (before.writableEnded) return before.req.complete;
  return !before.headersSent && !before.req.complete;
}

/** Undefined for what is no fault of a request: the client is gone, or its TLS handshake failed. */
function codeOf({ code = '' }: NodeJS.ErrnoException): ErrorCode | undefined {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return 'HEADERS_TOO_LARGE';
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return 'BODY_TOO_LARGE';
    case 'HPE_INVALID_EOF_STATE':
      return undefined;
    case 'HPE_INVALID_VERSION':
      return 'HTTP_VERSION';
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return 'REQUEST_TIMEOUT';
    default:
      return code.startsWith('HPE_') ? 'MALFORMED_REQUEST' : undefined;
  }
}
