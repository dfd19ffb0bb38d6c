import type { ClientRequest, IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import type { Duplex } from 'node:stream';
import type { Socket } from 'node:net';
import type { ErrorCode } from '../errors.ts';
import { cleanAnswer, watchConnect } from './app-messages.ts';
import type { Attempt, AttemptEvents, Failure } from './app-target.ts';
import { TCP_KEEP_ALIVE_MS } from './dial.ts';
import { destroyLater } from './plain-answer.ts';

/** What a client may send before its upgrade is answered, in bytes; more is left in the socket. */
const MAX_EARLY_BYTES = 64 * 1024;

/** Limits of one attempt, in milliseconds. */
export interface UpgradeLimits {
  readonly connectTimeoutMs: number;
  /** Until the app answers, connecting included. */
  readonly upgradeTimeoutMs: number;
}

/**
 * A client that waits for the answer to its upgrade. It has to be read meanwhile: a socket that is
 * not read does not show that its peer has closed.
 */
export class WaitingClient {
  readonly socket: Duplex;
  readonly #onGone: () => void;
  readonly #early: Buffer[] = [];
  #earlyBytes = 0;

  constructor(socket: Duplex, head: Buffer, onGone: () => void) {
    this.socket = socket;
    this.#onGone = onGone;
    if (head.length > 0) socket.unshift(head);
    socket.on('data', this.#onData);
    socket.once('end', onGone);
    socket.once('close', onGone);
  }

  /** Stops reading; what was read can be read again. */
  handOver(): void {
    this.#forget();
    this.socket.pause();
    if (this.#earlyBytes > 0) this.socket.unshift(Buffer.concat(this.#early));
  }

  /** Stops waiting; whatever the client still sends is dropped. */
  drop(): void {
    this.#forget();
    this.socket.resume();
  }

  readonly #onData = (chunk: Buffer): void => {
    this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    if (this.#earlyBytes >= MAX_EARLY_BYTES) this.socket.pause();
  };

  #forget(): void {
    this.socket.off('data', this.#onData);
    this.socket.off('end', this.#onGone);
    this.socket.off('close', this.#onGone);
  }
}

/** One upgrade on its way through `http-proxy` to one app, until the tunnel stands or is refused. */
export class UpgradeAttempt implements Attempt {
  readonly #client: WaitingClient;
  readonly #limits: UpgradeLimits;
  readonly #events: AttemptEvents;
  readonly #timer: NodeJS.Timeout;
  #request: ClientRequest | undefined;
  #connected = false;
  #over = false;

  constructor(client: WaitingClient, limits: UpgradeLimits, events: AttemptEvents) {
    this.#client = client;
    this.#limits = limits;
    this.#events = events;
    this.#timer = setTimeout(() => {
      this.fail('UPSTREAM_TIMEOUT', new Error('upgrade not answered in time'));
    }, limits.upgradeTimeoutMs);
  }

  abort(): void {
    this.#settle();
    this.#request?.destroy();
  }

  /** The request exists; `http-proxy` has not looked at it yet. */
  onRequest(request: ClientRequest): void {
    this.#request = request;
    request.once('socket', () => {
      watchConnect(request, this.#limits.connectTimeoutMs, {
        connected: () => {
          this.#connected = true;
        },
        timeout: () => {
          this.fail('UPSTREAM_CONNECT', new Error('not connected in time'), 'elsewhere');
        },
      });
    });
  }

  /**
   * Puts this class between the request and the listeners that `http-proxy` has added by now. Its
   * `upgrade` listener is kept for upgrades that are in order; those for `response` and `error` are
   * not, as they write what they got and end a client that could have been sent elsewhere.
   */
  takeOver(): void {
    const request = this.#request;
    if (request === undefined) return;
    const joinSockets = request.listeners('upgrade');
    for (const event of ['upgrade', 'response', 'error']) request.removeAllListeners(event);
    request.on('error', (error) => {
      this.onError(error);
    });
    request.once('response', (answer) => {
      this.onAnswer(answer);
    });
    request.once('upgrade', (answer, socket, head) => {
      if (!this.#accepts(answer, socket)) return;
      for (const join of joinSockets) join.call(request, answer, socket, head);
      tieTogether(this.#client.socket as TunnelSide, socket);
    });
  }

  /** Whether the tunnel may stand; if so both sides are ready to be joined. */
  #accepts(answer: IncomingMessage, socket: Socket): boolean {
    const isWebSocket = answer.headers.upgrade?.toLowerCase() === 'websocket';
    const clean = cleanAnswer(answer, 'upgraded');
    if (this.#over || clean instanceof Error || !isWebSocket) {
      socket.destroy();
      this.fail('UPSTREAM_BAD_ANSWER', clean instanceof Error ? clean : new Error('odd 101'));
      return false;
    }
    this.#settle();
    this.#client.handOver();
    answer.headers = {
      ...fieldsOf(clean.headers),
      Connection: 'Upgrade',
      Upgrade: 'websocket',
    };
    return true;
  }

  onAnswer(answer: IncomingMessage): void {
    if (this.#over) return;
    const clean = cleanAnswer(answer);
    if (clean instanceof Error) {
      this.fail('UPSTREAM_BAD_ANSWER', clean);
      return;
    }
    this.#settle();
    const { socket } = this.#client;
    this.#client.drop();
    const lines = [`HTTP/1.1 ${String(clean.status)} ${clean.reason}`];
    for (const [name, value] of pairsOf(clean.headers)) lines.push(`${name}: ${value}`);
    socket.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`, 'latin1');
    answer.once('error', (error) => {
      if (!socket.destroyed) this.#events.onCut(error);
    });
    pipeline(answer, socket, () => {
      this.#request?.destroy();
      destroyLater(socket);
    });
  }

  onError(error: NodeJS.ErrnoException): void {
    if (error.code?.startsWith('HPE_') === true) this.fail('UPSTREAM_BAD_ANSWER', error);
    else if (!this.#connected) this.fail('UPSTREAM_CONNECT', error, 'elsewhere');
    else this.fail('UPSTREAM_RESET', error);
  }

  fail(code: ErrorCode, cause: Error, repeat: Failure['repeat'] = 'never'): void {
    if (this.#over) return;
    this.abort();
    this.#events.onFailure({ code, cause, repeat });
  }

  #settle(): void {
    this.#over = true;
    clearTimeout(this.#timer);
  }
}

/** What Node gives an `upgrade` listener as a Duplex is a Socket. */
type TunnelSide = Duplex & Pick<Socket, 'destroySoon' | 'setKeepAlive'>;

/** The end of one side is the end of both; bytes on their way get a moment to arrive. */
function tieTogether(client: TunnelSide, app: TunnelSide): void {
  for (const [side, other] of [
    [client, app],
    [app, client],
  ] as const) {
    side.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    side.once('end', () => {
      destroyLater(side);
      destroyLater(other);
    });
    side.once('close', () => {
      other.destroySoon();
      destroyLater(other);
    });
  }
}

function* pairsOf(flat: readonly string[]): Generator<[string, string]> {
  for (let i = 0; i + 1 < flat.length; i += 2) yield [flat[i] ?? '', flat[i + 1] ?? ''];
}

function fieldsOf(flat: readonly string[]): Record<string, string[]> {
  const fields: Record<string, string[]> = {};
  for (const [name, value] of pairsOf(flat)) (fields[name] ??= []).push(value);
  return fields;
}
