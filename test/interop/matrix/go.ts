import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBuilt, runTool } from './build.ts';

/** A folder with one Go program of one file. */
export interface GoProgram {
  /** The built program. */
  readonly path: string;
  build(): Promise<void>;
  /** What the folder's `go.mod` requires of a module. */
  version(module: string): string;
}

/** The Go program of a folder; what it depends on is what its `go.mod` and `go.sum` say. */
export function goProgram(folder: string): GoProgram {
  const path = join(folder, 'target/program');
  const sources = ['main.go', 'go.mod', 'go.sum'].map((file) => join(folder, file));
  return {
    path,
    build: async () => {
      if (await isBuilt(path, sources)) return;
      await runTool(folder, 'go', ['build', '-mod=readonly', '-buildvcs=false', '-o', path]);
    },
    version: (module) => {
      const manifest = readFileSync(join(folder, 'go.mod'), 'utf8');
      const words = manifest.split(/\s+/);
      const version = words[words.indexOf(module) + 1];
      if (version?.startsWith('v') !== true) throw new Error(`${folder}/go.mod has no ${module}`);
      return version.slice(1);
    },
  };
}
