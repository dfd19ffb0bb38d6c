import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** What clients still wait for or use: answers, upgrades and tunnels, to whatever they lead. */
export class OpenWork {
  readonly #responses = new Set<ServerResponse>();
  readonly #upgraded = new Set<Duplex>();
  #closing = false;
  #onIdle: (() => void) | undefined;

  /** A request to be answered. */
  addResponse(res: ServerResponse): void {
    if (this.#closing) res.shouldKeepAlive = false;
    this.#follow(this.#responses, res);
  }

  /** The connection of an upgrade, open as long as its tunnel is. */
  addUpgrade(socket: Duplex): void {
    this.#follow(this.#upgraded, socket);
  }

  /** From now on answers end their connections, as far as their header is not written yet. */
  close(): void {
    this.#closing = true;
    for (const res of this.#responses) {
      if (!res.headersSent) res.shouldKeepAlive = false;
    }
  }

  /** Resolves once when nothing is left. */
  async idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#onIdle = resolve;
      this.#noticeIdle();
    });
  }

  /** Cuts off the connections of upgrades, which are no longer the server's to close. */
  destroy(): void {
    for (const socket of this.#upgraded) socket.destroy();
  }

  #follow<T extends ServerResponse | Duplex>(open: Set<T>, stream: T): void {
    open.add(stream);
    stream.once('close', () => {
      open.delete(stream);
      this.#noticeIdle();
    });
  }

  #noticeIdle(): void {
    if (this.#responses.size + this.#upgraded.size === 0) this.#onIdle?.();
  }
}
