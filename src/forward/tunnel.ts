import type { ErrorCode, UnstickyError } from '../errors.ts';
import { TCP_KEEP_ALIVE_MS } from './dial.ts';
import type { FirstMessages } from './first-messages.ts';
import { LINGER_MS } from './last-bytes.ts';
import type { TunnelSocket } from './upgrade-client.ts';

/** A side that takes nothing for so long, while bytes wait for it, is cut off; in milliseconds. */
const STALL_MS = 30_000;

/** How a tunnel ended. */
export interface TunnelEnd {
  /** Whose doing it was. */
  readonly by: 'client' | 'upstream' | 'router';
  /**
   * `end`: FIN. `reset`: the connection broke. `idle`: silence beyond {@link Tunnel.idleMs}.
   * `stall`: it took no bytes for 30 s. Else the code of the error it was aborted with.
   */
  readonly how: 'end' | 'reset' | 'idle' | 'stall' | ErrorCode;
  /** Bytes that went to each side after the 101; a server may say "unknown session" by sending none. */
  readonly bytesToUpstream: number;
  readonly bytesToClient: number;
  /** Milliseconds from the 101 to the end of both sides. */
  readonly openMs: number;
}

/** What a {@link Tunnel} joins. */
export interface TunnelSides {
  readonly client: TunnelSocket;
  readonly upstream: TunnelSocket;
}

/**
 * An upgraded connection: two sockets and the bytes between them, unchanged. It lives until both
 * sockets are closed: the end of one side ends the other after what was under way has arrived, and
 * a side that does not follow within 5 s is cut off.
 *
 * Both sockets have error listeners already; all time limits depend on {@link Tunnel.sweep}.
 */
export class Tunnel {
  /** Silence in both directions, in milliseconds, after which it ends; undefined: no limit. */
  idleMs: number | undefined;
  readonly #toUpstream: Direction;
  readonly #toClient: Direction;
  readonly #onClosed: (end: TunnelEnd) => void;
  readonly #now: () => number;
  readonly #openedAtMs: number;
  #by: TunnelEnd['by'] | undefined;
  #how: TunnelEnd['how'] = 'end';
  #lingersUntilMs: number | undefined;
  #openSockets = 2;

  constructor(sides: TunnelSides, now: () => number, onClosed: (end: TunnelEnd) => void) {
    const nowMs = now();
    this.#onClosed = onClosed;
    this.#now = now;
    this.#openedAtMs = nowMs;
    this.#toUpstream = new Direction(sides.client, sides.upstream, nowMs);
    this.#toClient = new Direction(sides.upstream, sides.client, nowMs);
    this.#join('client', this.#toUpstream);
    this.#join('upstream', this.#toClient);
    sides.client.setNoDelay(true);
    sides.client.setKeepAlive(true, TCP_KEEP_ALIVE_MS);
  }

  /** Passes on bytes that were read before the tunnel stood; observers are set before that. */
  inject(toUpstream: Buffer, toClient: Buffer): void {
    if (toClient.length > 0) this.#toClient.push(toClient);
    if (toUpstream.length > 0) this.#toUpstream.push(toUpstream);
  }

  /** Lets someone read along with what one side sends, until he has seen enough. */
  observe(sender: 'client' | 'upstream', messages: FirstMessages): void {
    (sender === 'client' ? this.#toUpstream : this.#toClient).observer = messages;
  }

  /** Cuts off both sides now. */
  abort(error: UnstickyError): void {
    this.#cut('router', error.code);
  }

  /** Looks after the time limits; to be called about once a second. */
  sweep(nowMs: number): void {
    if (this.#by !== undefined) {
      this.#lingersUntilMs ??= nowMs + LINGER_MS;
      if (nowMs >= this.#lingersUntilMs) this.#destroy();
      return;
    }
    const upQuietMs = this.#toUpstream.quietMs(nowMs);
    const downQuietMs = this.#toClient.quietMs(nowMs);
    if (upQuietMs >= STALL_MS && this.#toUpstream.isBlocked) this.#cut('upstream', 'stall');
    else if (downQuietMs >= STALL_MS && this.#toClient.isBlocked) this.#cut('client', 'stall');
    else if (Math.min(upQuietMs, downQuietMs) >= (this.idleMs ?? Infinity)) {
      this.#cut('router', 'idle');
    }
  }

  #join(side: 'client' | 'upstream', direction: Direction): void {
    const { from, to } = direction;
    from.on('data', (chunk: Buffer) => {
      direction.push(chunk);
    });
    from.on('end', () => {
      this.#by ??= side;
      to.end();
    });
    from.on('close', () => {
      if (this.#by === undefined) {
        this.#by = side;
        this.#how = 'reset';
      }
      // Not destroyed: closing on bytes that the peer has just sent makes its system drop, at the
      // reset, what it has not read yet. Reading goes on so that the peer's own end is seen.
      to.resume();
      to.end();
      this.#socketClosed();
    });
    to.on('drain', () => {
      from.resume();
    });
    from.resume();
  }

  #cut(by: TunnelEnd['by'], how: TunnelEnd['how']): void {
    if (this.#by === undefined) {
      this.#by = by;
      this.#how = how;
    }
    this.#destroy();
  }

  #destroy(): void {
    this.#toClient.to.destroy();
    this.#toUpstream.to.destroy();
  }

  #socketClosed(): void {
    this.#openSockets -= 1;
    if (this.#openSockets > 0) return;
    this.#toUpstream.observer?.close();
    this.#toClient.observer?.close();
    this.#onClosed({
      by: this.#by ?? 'router',
      how: this.#how,
      bytesToUpstream: this.#toUpstream.bytes,
      bytesToClient: this.#toClient.bytes,
      openMs: this.#now() - this.#openedAtMs,
    });
  }
}

/** One way through a tunnel. */
class Direction {
  readonly from: TunnelSocket;
  readonly to: TunnelSocket;
  bytes = 0;
  observer: FirstMessages | undefined;
  #sweptBytes = 0;
  #quietSinceMs: number;

  constructor(from: TunnelSocket, to: TunnelSocket, nowMs: number) {
    this.from = from;
    this.to = to;
    this.#quietSinceMs = nowMs;
  }

  /** Whether bytes wait for a side that does not take them. */
  get isBlocked(): boolean {
    return this.to.writableNeedDrain;
  }

  push(chunk: Buffer): void {
    // After its end a side takes no more: the rest is read away, so that the end is seen.
    if (!this.to.writable) return;
    this.bytes += chunk.length;
    if (!this.to.write(chunk)) this.from.pause();
    if (this.observer?.push(chunk) === false) this.observer = undefined;
  }

  /** Time without a byte, as far as sweeps have seen it: no clock is read for each chunk. */
  quietMs(nowMs: number): number {
    if (this.bytes !== this.#sweptBytes) {
      this.#sweptBytes = this.bytes;
      this.#quietSinceMs = nowMs;
    }
    return nowMs - this.#quietSinceMs;
  }
}
