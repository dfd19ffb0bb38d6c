import { MemoryStore } from '../../src/sessions/memory-store.ts';
import { RedisStore } from '../../src/sessions/redis-store.ts';
import { startCluster, startSentinel, startTlsRedis } from '../helpers/redis-topologies.ts';
import { startRedis } from '../helpers/redis.ts';
import { describeStore } from './contract.ts';
import { singleConfig, uniqueId } from './fixtures.ts';

describeStore('memory', () => {
  const create = (): MemoryStore => new MemoryStore({ maxBindings: 1_000 });
  return Promise.resolve({ create, close: () => Promise.resolve() });
});

describeStore('Redis', async () => {
  const { url, close } = await startRedis();
  return { create: () => redisStore(singleConfig(url)), close };
});

describeStore('Redis with TLS and a password', async () => {
  const { url, ca, password, close } = await startTlsRedis();
  const config = singleConfig(url, { password, tls: { ca }, database: 3 });
  return { create: () => redisStore(config), close };
});

describeStore('Redis behind Sentinel', async () => {
  const { sentinels, name, close } = await startSentinel();
  const topology = { kind: 'sentinel', sentinels, name, sentinelPassword: undefined } as const;
  return { create: () => redisStore({ ...singleConfig(0), topology }), close };
});

describeStore('Redis Cluster', async () => {
  const { nodes, close } = await startCluster();
  const topology = { kind: 'cluster', nodes } as const;
  return { create: () => redisStore({ ...singleConfig(0), topology }), close };
});

function redisStore(config: ConstructorParameters<typeof RedisStore>[0]['config']): RedisStore {
  return new RedisStore({ config, replica: uniqueId('replica') });
}
