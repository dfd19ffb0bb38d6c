import { eventually } from '../../helpers/eventually.ts';
import type { ClientSession, ServerNode } from './contract.ts';
import type { Limit } from './limit.ts';
import { eventsOf } from './process-server.ts';

/** A session, and which of its server's clients it is. */
export interface Guest {
  readonly session: ClientSession;
  readonly node: ServerNode;
  /** What the server calls it. */
  readonly id: string;
  /** How often the server had said that a client of this name has gone: netty gives names again. */
  readonly earlierDepartures: number;
}

const SEEN_MS = 5000;

/**
 * Lets clients in one after the other, so that the server's next line is about this one, whatever
 * else goes on between the clients that are in and their server.
 */
export class Reception {
  readonly #nodes: readonly ServerNode[];
  readonly #busy: Limit;
  #last: Promise<unknown> = Promise.resolve();

  constructor(nodes: readonly ServerNode[], busy: Limit) {
    this.#nodes = nodes;
    this.#busy = busy;
  }

  /** Lets a client connect; fails also when the server sees none, or more than one. */
  async admit(connect: () => Promise<ClientSession>): Promise<Guest> {
    const connected = this.#last.then(() => this.#busy.run(() => this.#admit(connect)));
    this.#last = connected.catch(() => undefined);
    return connected;
  }

  async #admit(connect: () => Promise<ClientSession>): Promise<Guest> {
    const before = this.#nodes.map((node) => arrivals(node).length);
    const session = await connect();
    try {
      const index = this.#nodes.findIndex(({ name }) => name === session.node);
      const node = this.#nodes[index];
      if (node === undefined) throw new Error(`welcomed by ${session.node}`);
      const fresh = (): string[] => arrivals(node).slice(before[index]);
      await eventually(() => fresh().length > 0, SEEN_MS, `${node.name} sees the client`);
      const [id, ...others] = fresh();
      if (id === undefined || others.length > 0) {
        throw new Error(`${node.name} sees ${others.length + 1} clients instead of one`);
      }
      return { session, node, id, earlierDepartures: departures(node, id) };
    } catch (error) {
      await session.drop();
      throw error;
    }
  }
}

/** True once the server has said that this client is gone. */
export function hasLeft({ node, id, earlierDepartures }: Guest): boolean {
  return departures(node, id) > earlierDepartures;
}

function departures(node: ServerNode, id: string): number {
  return eventsOf(node, 'disconnect').filter((said) => said.id === id).length;
}

function arrivals(node: ServerNode): string[] {
  return eventsOf(node, 'connect').map(({ id }) => id);
}
