import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startRedis, type RedisServer } from '../../helpers/redis.ts';
import { startReplica, type Replica } from '../../helpers/replica.ts';
import { startRoundRobin, type RoundRobin } from '../../helpers/round-robin.ts';
import { MODES, runCrowd, type Mode } from './crowd.ts';
import { buildNettyServer, startNettyNode, type NettyNode } from './server.ts';

const modes = Object.keys(MODES) as Mode[];

let nodes: NettyNode[] = [];

beforeAll(async () => {
  await buildNettyServer();
  nodes = await Promise.all(['node-1', 'node-2'].map(startNettyNode));
});

afterAll(async () => {
  await Promise.all(nodes.map((node) => node.close()));
});

async function expectEveryoneServed(url: string, mode: Mode): Promise<void> {
  const result = await runCrowd(url, mode);
  expect(result.served, result.failures.join('\n')).toBe(50);
  expect(result.byNode.size, 'nodes that took part').toBe(2);
}

describe('one replica with the memory store, two netty nodes', () => {
  let replica: Replica | undefined;

  beforeAll(async () => {
    replica = await startReplica({ upstreams: nodes.map((node) => node.url) });
  });

  afterAll(async () => {
    await replica?.close();
  });

  test.each(modes)('%s: 50 of 50 clients are served', async (mode) => {
    await expectEveryoneServed(replica?.url ?? '', mode);
  });
});

describe('two replicas with Redis behind a round robin of requests, two netty nodes', () => {
  let redis: RedisServer | undefined;
  let replicas: Replica[] = [];
  let balancer: RoundRobin | undefined;

  beforeAll(async () => {
    redis = await startRedis();
    const config = { store: redis.url, upstreams: nodes.map((node) => node.url) };
    replicas = await Promise.all([startReplica(config), startReplica(config)]);
    balancer = await startRoundRobin(replicas.map((replica) => replica.port));
  });

  afterAll(async () => {
    await balancer?.close();
    await Promise.all(replicas.map((replica) => replica.close()));
    await redis?.close();
  });

  test.each(modes)('%s: 50 of 50 clients are served', async (mode) => {
    await expectEveryoneServed(balancer?.url ?? '', mode);
    expect(Math.min(...(balancer?.counts ?? []))).toBeGreaterThan(0);
  });
});
