import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';

export interface DelayProxy {
  readonly port: number;
  /** Holds everything back, in both directions, until {@link thaw}; connections stay open. */
  readonly freeze: () => void;
  /** Delivers what was held back, in order, even for a connection whose sender has left. */
  readonly thaw: () => void;
  /** Resets every connection. */
  readonly cut: () => void;
  readonly close: () => Promise<void>;
}

/**
 * A TCP proxy to a port of this machine that adds a delay to each direction.
 *
 * @param delayMs - added to every byte, each way, in milliseconds
 */
export async function startDelayProxy(targetPort: number, delayMs = 0): Promise<DelayProxy> {
  const sockets = new Set<Socket>();
  const lanes = new Set<Lane>();
  let frozen = false;
  const open = (socket: Socket): Socket => {
    sockets.add(socket.on('error', () => undefined).setNoDelay(true));
    return socket.once('close', () => sockets.delete(socket));
  };
  const server = createServer({ allowHalfOpen: true }, (client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1', allowHalfOpen: true });
    open(client);
    open(target);
    for (const [from, to] of [
      [client, target],
      [target, client],
    ] as const) {
      const lane = new Lane(from, to, { delayMs, frozen: () => frozen });
      lanes.add(lane);
      to.once('close', () => lanes.delete(lane));
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = (): void => {
    for (const socket of sockets) {
      // A reset behind a FIN that is on its way would leave the handle open (Node 20).
      if (socket.writableEnded) socket.destroy();
      else socket.resetAndDestroy();
    }
  };
  return {
    port: (server.address() as AddressInfo).port,
    freeze: () => {
      frozen = true;
    },
    thaw: () => {
      frozen = false;
      for (const lane of lanes) lane.deliver();
    },
    cut,
    close: async () => {
      server.close();
      cut();
      await once(server, 'close');
    },
  };
}

/** One direction of a connection. */
class Lane {
  readonly #to: Socket;
  readonly #delayMs: number;
  readonly #frozen: () => boolean;
  readonly #held: { readonly chunk: Buffer | 'end'; readonly dueAt: number }[] = [];

  constructor(from: Socket, to: Socket, options: { delayMs: number; frozen: () => boolean }) {
    this.#to = to;
    this.#delayMs = options.delayMs;
    this.#frozen = options.frozen;
    from.on('data', (chunk) => {
      this.#hold(chunk);
    });
    from.once('close', () => {
      this.#hold('end');
    });
    from.once('end', () => {
      this.#hold('end');
    });
  }

  deliver(): void {
    const now = performance.now();
    for (let next = this.#held[0]; next !== undefined; next = this.#held[0]) {
      if (this.#frozen() || next.dueAt > now) return;
      this.#held.shift();
      if (next.chunk === 'end') this.#to.end();
      else if (this.#to.writable) this.#to.write(next.chunk);
    }
  }

  #hold(chunk: Buffer | 'end'): void {
    this.#held.push({ chunk, dueAt: performance.now() + this.#delayMs });
    if (this.#delayMs === 0) this.deliver();
    // One more than asked: timers may fire a fraction early.
    else setTimeout(() => this.deliver(), this.#delayMs + 1).unref();
  }
}
