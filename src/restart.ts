import { isDeepStrictEqual } from 'node:util';
import type { Config } from './config/config.ts';

/** What is read only at start, by its key in the file: a change needs a new process. */
const FIXED_SETTINGS: Readonly<Record<string, (config: Config) => unknown>> = {
  listen: (config) => config.listen,
  store: (config) => config.store,
  admin: (config) => config.admin,
  'limits.cachedBindings': (config) => config.limits.cachedBindings,
  'limits.memoryBindings': (config) => config.limits.memoryBindings,
  'timeouts.connect': (config) => config.timeouts.connectMs,
  'timeouts.upgrade': (config) => config.timeouts.upgradeMs,
  'timeouts.clientHeader': (config) => config.timeouts.clientHeaderMs,
  'timeouts.clientRequest': (config) => config.timeouts.clientRequestMs,
  'timeouts.keepAlive': (config) => config.timeouts.keepAliveMs,
};

/** The changed keys that a reload cannot bring into force. */
export function keysThatNeedRestart(before: Config, after: Config): readonly string[] {
  return Object.entries(FIXED_SETTINGS)
    .filter(([, read]) => !isDeepStrictEqual(read(before), read(after)))
    .map(([key]) => key);
}
