import type { Config } from '../config/config.ts';
import { MemoryStore } from './memory-store.ts';
import { RedisStore } from './redis-store.ts';
import type { SessionStore } from './store.ts';

/**
 * The store that the configuration names, not yet open.
 *
 * @param replica - id of this process, unlike any other's now or before; no spaces
 */
export function createStore({ store, limits }: Config, replica: string): SessionStore {
  switch (store.kind) {
    case 'memory':
      return new MemoryStore({ maxBindings: limits.memoryBindings });
    case 'redis':
      return new RedisStore({ config: store, replica });
  }
}
