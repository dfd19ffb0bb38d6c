import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http';
import type { ErrorCode } from '../errors.ts';
import { headerCount } from '../headers.ts';
import { cleanAnswer, watchConnect } from './app-messages.ts';
import type { CleanAnswer } from './app-messages.ts';
import type { Attempt, AttemptEvents, Failure } from './app-target.ts';
import { endAnswer } from './last-bytes.ts';

/** Limits of one attempt, in milliseconds. */
export interface WebLimits {
  readonly connectTimeoutMs: number;
  /** Without a byte in either direction, until the answer begins. */
  readonly upstreamTimeoutMs: number;
}

/** One request on its way through `http-proxy` to one app: what the library leaves open ends here. */
export class WebAttempt implements Attempt {
  readonly #res: ServerResponse;
  readonly #limits: WebLimits;
  readonly #events: AttemptEvents;
  #request: ClientRequest | undefined;
  #answer: IncomingMessage | undefined;
  #connected = false;
  #bytesBefore = 0;
  #over = false;

  constructor(res: ServerResponse, limits: WebLimits, events: AttemptEvents) {
    this.#res = res;
    this.#limits = limits;
    this.#events = events;
  }

  abort(): void {
    this.#over = true;
    this.#request?.destroy();
  }

  /** Called when the request has its socket, which may still be connecting. */
  onRequest(request: ClientRequest): void {
    if (this.#over) {
      request.destroy();
      return;
    }
    this.#request = request;
    this.#bytesBefore = request.socket?.bytesRead ?? 0;
    // Without a listener Node drops an unsolicited 101, and nobody would hear of it.
    request.once('upgrade', (_answer, socket) => {
      socket.destroy();
      this.fail('UPSTREAM_BAD_ANSWER', new Error('101 to a request that is no upgrade'));
    });
    watchConnect(request, this.#limits.connectTimeoutMs, {
      connected: () => {
        this.#connected = true;
        request.setTimeout(this.#limits.upstreamTimeoutMs, () => {
          this.fail('UPSTREAM_TIMEOUT', new Error('no answer in time'));
        });
      },
      timeout: () => {
        this.fail('UPSTREAM_CONNECT', new Error('not connected in time'), 'elsewhere');
      },
    });
  }

  onAnswer(answer: IncomingMessage): void {
    const clean = cleanAnswer(answer);
    if (this.#over) return;
    if (clean instanceof Error) {
      this.fail('UPSTREAM_BAD_ANSWER', clean);
      return;
    }
    this.#answer = answer;
    this.#write(answer, clean);
  }

  onError(error: NodeJS.ErrnoException): void {
    if (this.#over) return;
    if (this.#answer !== undefined) {
      if (!this.#answer.complete) this.#cut(error);
      return;
    }
    if (this.#res.destroyed) {
      // Not the app's failure: the client left in the middle of its request's body.
      this.abort();
    } else if (error.code?.startsWith('HPE_') === true) {
      this.fail('UPSTREAM_BAD_ANSWER', error);
    } else if (!this.#connected) {
      this.fail('UPSTREAM_CONNECT', error, 'elsewhere');
    } else {
      this.fail('UPSTREAM_RESET', error, this.#wasStale() ? 'afresh' : 'never');
    }
  }

  #wasStale(): boolean {
    const request = this.#request;
    return request?.reusedSocket === true && request.socket?.bytesRead === this.#bytesBefore;
  }

  #write(answer: IncomingMessage, clean: CleanAnswer): void {
    const res = this.#res;
    // The library pipes on its own only what it answers itself, and never tells of a cut.
    answer.once('error', (error) => {
      if (!this.#over) this.#cut(error);
    });
    res.sendDate = false;
    res.writeHead(clean.status, clean.reason, clean.headers);
    if (clean.status === 204 || clean.status === 304) {
      // Node 20.19 would wait for the body that a length beside such a status seems to announce.
      this.#over = true;
      res.end();
      if (answer.headers['content-length'] !== undefined) this.#request?.destroy();
      else answer.resume();
      return;
    }
    // Not pipeline(): errors of both sides are looked after already, and its eleven listeners on the
    // answer would be one more than Node thinks sound.
    answer.pipe(res, { end: false });
    answer.once('end', () => {
      this.#over = true;
      const hasLength = headerCount(clean.headers, 'content-length') > 0;
      endAnswer(res.req, res, { framing: hasLength ? 'length' : 'other' });
    });
    // The header of an event stream must not wait for the first event; that of an answer whose body
    // came in the same packet leaves together with it.
    setImmediate(() => {
      if (!answer.readableDidRead && !res.destroyed) res.flushHeaders();
    });
  }

  #cut(cause: Error): void {
    this.#over = true;
    this.#request?.destroy();
    // The only honest end of an answer that has begun (RFC 9112 section 8).
    this.#res.destroy();
    this.#events.onCut(cause);
  }

  fail(code: ErrorCode, cause: Error, repeat: Failure['repeat'] = 'never'): void {
    if (this.#over || this.#answer !== undefined) return;
    this.#over = true;
    this.#request?.destroy();
    this.#events.onFailure({ code, cause, repeat });
  }
}
