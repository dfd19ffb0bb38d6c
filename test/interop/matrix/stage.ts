import { Closers } from '../../helpers/closers.ts';
import { startReplica } from '../../helpers/replica.ts';
import { startRoundRobin } from '../../helpers/round-robin.ts';
import type { Dialect, ServerKind, ServerNode } from './contract.ts';

/** Ways from a client to the two nodes of a kind. */
export const TOPOLOGIES = {
  direct: 'the first node itself, without the router: the control',
  one: 'one replica with the memory store',
  two: 'two replicas with Redis behind a round robin that ignores sessions',
} as const;

export type Topology = keyof typeof TOPOLOGIES;

/** Two nodes of a kind and all ways to them. */
export interface Stage {
  readonly nodes: readonly ServerNode[];
  readonly urls: Readonly<Record<Topology, string>>;
  /** Requests that each of the two replicas has had. */
  readonly counts: readonly number[];
  close(): Promise<void>;
}

/** The Engine.IO path of a server, as its library has it by default. */
export function pathOf(dialect: Dialect): string {
  return `/${dialect}/`;
}

/** Starts two nodes, and the replicas in front of them. */
export async function setStage(kind: ServerKind, redisUrl: string): Promise<Stage> {
  const closers = new Closers();
  try {
    const nodes = await Promise.all(
      ['node-1', 'node-2'].map(async (name) => closers.add(await kind.start(name))),
    );
    const upstreams = nodes.map(({ url }) => url);
    const common = {
      upstreams,
      path: pathOf(kind.dialect),
      // Servers of Engine.IO 3 would report the sessions of handshake checks as clients.
      health: { interval: '1h', check: 'tcp' },
      log: { access: false },
    };
    const store = { redis: { url: redisUrl, keyPrefix: `${kind.id}:` } };
    const [one, ...two] = await Promise.all(
      [common, { ...common, store }, { ...common, store }].map(async (config) =>
        closers.add(await startReplica(config)),
      ),
    );
    const balancer = closers.add(await startRoundRobin(two.map(({ port }) => port)));
    return {
      nodes,
      urls: { direct: upstreams[0] ?? '', one: one?.url ?? '', two: balancer.url },
      counts: balancer.counts,
      close: () => closers.close(),
    };
  } catch (error) {
    await closers.close();
    throw error;
  }
}
