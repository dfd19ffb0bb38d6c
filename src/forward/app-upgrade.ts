import type { ClientRequest, IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream';
import type { Socket } from 'node:net';
import type { ErrorCode } from '../errors.ts';
import { cleanAnswer, watchConnect } from './app-messages.ts';
import type { Attempt, AttemptEvents, Failure } from './app-target.ts';
import { TCP_KEEP_ALIVE_MS } from './dial.ts';
import { destroyLater } from './plain-answer.ts';
import type { TunnelSocket, UpgradeClient } from './upgrade-client.ts';

/** Limits of one attempt, in milliseconds. */
export interface UpgradeLimits {
  readonly connectTimeoutMs: number;
  /** Until the app answers, connecting included. */
  readonly upgradeTimeoutMs: number;
}

/** One upgrade on its way through `http-proxy` to one app, until the tunnel stands or is refused. */
export class UpgradeAttempt implements Attempt {
  readonly #client: UpgradeClient;
  readonly #limits: UpgradeLimits;
  readonly #events: AttemptEvents;
  readonly #timer: NodeJS.Timeout;
  #request: ClientRequest | undefined;
  #connected = false;
  #over = false;

  constructor(client: UpgradeClient, limits: UpgradeLimits, events: AttemptEvents) {
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
      tieTogether(this.#client.socket, socket);
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
    const early = this.#client.release();
    this.#client.socket.pause();
    if (early.length > 0) this.#client.socket.unshift(early);
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
    const client = this.#client;
    const lines = [`HTTP/1.1 ${String(clean.status)} ${clean.reason}`];
    for (const [name, value] of pairsOf(clean.headers)) lines.push(`${name}: ${value}`);
    client.beginAnswer(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`);
    answer.once('error', (error) => {
      if (!client.gone) this.#events.onCut(error);
    });
    pipeline(answer, client.socket, () => {
      client.finishAnswer();
      this.#request?.destroy();
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

/** The end of one side is the end of both; bytes on their way get a moment to arrive. */
function tieTogether(client: TunnelSocket, app: TunnelSocket): void {
  for (const [side, other] of [
    [client, app],
    [app, client],
  ] as const) {
    side.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
    side.once('end', () => {
      destroyLater(side);
      destroyLater(other);
    });
    side.once('close', (hadError: boolean) => {
      if (hadError) {
        other.destroy();
        return;
      }
      // Not destroyed: closing on unread bytes is a reset, which can take with it what was sent.
      other.end();
      other.resume();
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
