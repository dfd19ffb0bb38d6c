import { tmpdir } from 'node:os';
import { withFreePort } from './free-port.ts';
import { startProcess } from './process.ts';

export interface RedisServer {
  readonly port: number;
  readonly url: string;
  /** Stops answering without closing anything, as an overloaded or swapped-out machine does. */
  readonly freeze: () => void;
  readonly thaw: () => void;
  /** Ends the process; frozen or not. */
  readonly close: () => Promise<void>;
}

/**
 * Starts a Redis server of its own that keeps nothing on disk.
 *
 * @param args - further command line options
 * @param port - the port of a server that was closed and starts again; default a free one
 */
export async function startRedis(
  args: readonly string[] = [],
  port?: number,
): Promise<RedisServer> {
  return port === undefined ? withFreePort((free) => startOn(free, args)) : startOn(port, args);
}

async function startOn(port: number, args: readonly string[]): Promise<RedisServer> {
  const all = [
    ...['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
    // A replica writes what its master sends into the working directory, unless told otherwise.
    ...['--dir', tmpdir(), '--repl-diskless-load', 'on-empty-db'],
    ...args,
  ];
  const redis = await startProcess('redis-server', all, {
    ready: /Ready to accept connections/,
  });
  return {
    port,
    url: `redis://127.0.0.1:${String(port)}`,
    freeze: () => process.kill(redis.pid, 'SIGSTOP'),
    thaw: () => process.kill(redis.pid, 'SIGCONT'),
    close: () => redis.close('SIGKILL'),
  };
}
