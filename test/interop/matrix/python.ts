import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isBuilt, runTool } from './build.ts';

/** A Python of its own with the packages of one list. */
export interface PythonEnvironment {
  /** The interpreter. */
  readonly python: string;
  /** Installs exactly what the list says, once. */
  build(): Promise<void>;
  /** What the list says about a package. */
  version(name: string): string;
}

/** The packages of a folder's `requirements-….txt`, where every one stands with its version. */
export function pythonEnvironment(folder: string, requirements: string): PythonEnvironment {
  const list = join(folder, requirements);
  const environment = join(folder, '.venv', basename(requirements, '.txt'));
  const python = join(environment, 'bin/python');
  const stamp = join(environment, 'installed');
  const install = async (): Promise<void> => {
    if (await isBuilt(stamp, [list])) return;
    await runTool(folder, 'python3', ['-m', 'venv', '--clear', environment]);
    const quiet = ['--quiet', '--disable-pip-version-check', '--no-compile'];
    await runTool(folder, python, ['-m', 'pip', 'install', ...quiet, '--no-deps', '-r', list]);
    await writeFile(stamp, '');
  };
  let installed: Promise<void> | undefined;
  return {
    python,
    build: () => (installed ??= install()),
    version: (name) => {
      const version = new RegExp(`^${name}==(.+)$`, 'm').exec(readFileSync(list, 'utf8'))?.[1];
      if (version === undefined) throw new Error(`${list} has no ${name}`);
      return version;
    },
  };
}
