import { withFreePort } from './free-port.ts';
import { startProcess } from './process.ts';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  readonly close: () => Promise<void>;
}

/** Starts a Redis server of its own that keeps nothing on disk. */
export async function startRedis(): Promise<RedisServer> {
  return withFreePort(async (port) => {
    const args = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
    ];
    const redis = await startProcess('redis-server', args, {
      ready: /Ready to accept connections/,
    });
    return { port, url: `redis://127.0.0.1:${String(port)}`, close: () => redis.close() };
  });
}
