import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBuilt, runTool } from './build.ts';

/** A folder with a manifest of its own. */
export interface NpmFolder {
  /** Installs what the lock file says, once. */
  build(): Promise<void>;
  /** What the lock file says about a package. */
  version(name: string): string;
}

/** The npm packages of a folder, from its lock file. */
export function npmFolder(folder: string): NpmFolder {
  const lockFile = join(folder, 'package-lock.json');
  const install = async (): Promise<void> => {
    // npm writes this file last.
    if (await isBuilt(join(folder, 'node_modules/.package-lock.json'), [lockFile])) return;
    await runTool(folder, 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  };
  let installed: Promise<void> | undefined;
  return {
    build: () => (installed ??= install()),
    version: (name) => {
      const lock = JSON.parse(readFileSync(lockFile, 'utf8')) as {
        packages: Record<string, { version: string } | undefined>;
      };
      const version = lock.packages[`node_modules/${name}`]?.version;
      if (version === undefined) throw new Error(`${lockFile} has no ${name}`);
      return version;
    },
  };
}
