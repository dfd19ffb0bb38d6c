import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from './process.ts';

/** One router as its users run it: the built command line in a process of its own. */
export interface Replica {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Everything logged so far. */
  readonly output: () => string;
  close(signal?: NodeJS.Signals): Promise<void>;
}

const ROOT = join(import.meta.dirname, '../..');

/**
 * Starts `unsticky start -c FILE` on a port of its own choice and waits until it listens.
 *
 * @param config - the file's keys; `listen` and a short grace time at the end are added
 */
export async function startReplica(config: Readonly<Record<string, unknown>>): Promise<Replica> {
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-'));
  const file = join(directory, 'unsticky.yaml');
  // netty-socketio never answers the poll that a client holds when it says goodbye, and a client
  // in Node never gives it up: such polls use the whole grace time at the end.
  const whole = { listen: '127.0.0.1:0', timeouts: { shutdown: '1s' }, ...config };
  // Every JSON text is a YAML text.
  await writeFile(file, JSON.stringify(whole));
  const clean = (): Promise<void> => rm(directory, { recursive: true, force: true });
  const router = await startProcess(
    process.execPath,
    [join(ROOT, 'bin/unsticky.js'), 'start', '-c', file],
    { ready: /"url":"(http:\/\/127\.0\.0\.1:(\d+))","msg":"listening"/ },
  ).catch(async (error: unknown) => {
    await clean();
    throw error;
  });
  return {
    url: router.ready[1] ?? '',
    port: Number(router.ready[2]),
    pid: router.pid,
    output: router.output,
    async close(signal?: NodeJS.Signals): Promise<void> {
      try {
        await router.close(signal);
      } finally {
        await clean();
      }
    },
  };
}
