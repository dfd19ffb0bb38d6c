import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { promisify } from 'node:util';

const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;

/** Runs a build tool in a folder; rejects with what it printed when it fails. */
export async function runTool(
  cwd: string,
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  try {
    await promisify(execFile)(command, args, {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: OUTPUT_LIMIT_BYTES,
    });
  } catch (error) {
    const { stdout = '', stderr = '' } = error as { stdout?: string; stderr?: string };
    const line = [command, ...args].join(' ');
    throw new Error(`${line} failed in ${cwd}:\n${stdout}${stderr}`, { cause: error });
  }
}

/** True if a built file is there and newer than all it was made from. */
export async function isBuilt(built: string, sources: readonly string[]): Promise<boolean> {
  const builtAt = await modifiedAt(built);
  const changedAt = await Promise.all(sources.map(modifiedAt));
  return changedAt.every((at) => at < builtAt);
}

async function modifiedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch {
    return 0;
  }
}
