import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withFreePort } from './free-port.ts';
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
 * Starts `unsticky start -c FILE` and waits until it listens.
 *
 * @param config - the file's keys; `listen` is added
 */
export async function startReplica(config: Readonly<Record<string, unknown>>): Promise<Replica> {
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-'));
  const file = join(directory, 'unsticky.yaml');
  return withFreePort(async (port) => {
    // Every JSON text is a YAML text.
    await writeFile(file, JSON.stringify({ listen: `127.0.0.1:${String(port)}`, ...config }));
    const router = await startProcess(
      process.execPath,
      [join(ROOT, 'bin/unsticky.js'), 'start', '-c', file],
      { ready: /listening/i },
    );
    return {
      url: `http://127.0.0.1:${String(port)}`,
      port,
      pid: router.pid,
      output: router.output,
      async close(signal?: NodeJS.Signals): Promise<void> {
        await router.close(signal);
        await rm(directory, { recursive: true, force: true });
      },
    };
  });
}
