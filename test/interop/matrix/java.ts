import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isBuilt, runTool } from './build.ts';
import type { Command } from './process-server.ts';

/** A folder with the Maven project of one Java program. */
export interface JavaProgram {
  build(): Promise<void>;
  /** What starts it; the jar runs once it is built. */
  command(...args: readonly string[]): Command;
  /** The version that the project names for one of its dependencies. */
  version(artifact: string): string;
}

const PARENT = join(import.meta.dirname, 'java-program.xml');

/**
 * The Java program of a folder.
 *
 * @param sources - folder of its sources, which two projects may share
 */
export function javaProgram(folder: string, sources: string): JavaProgram {
  const project = join(folder, 'pom.xml');
  const jar = join(folder, 'target/program.jar');
  return {
    build: async () => {
      if (await isBuilt(jar, [PARENT, project, ...(await filesOf(sources))])) return;
      await afterOthers(() => runTool(folder, 'mvn', ['-q', '-B', 'package']));
    },
    // A short life is not worth the second compiler.
    command: (...args) => ['java', ['-XX:TieredStopAtLevel=1', '-Xmx256m', '-jar', jar, ...args]],
    version: (artifact) => {
      const manifest = readFileSync(project, 'utf8');
      const named = manifest.split(`<artifactId>${artifact}</artifactId>`)[1];
      const version = /^\s*<version>([^<]+)<\/version>/.exec(named ?? '')?.[1];
      if (version === undefined) throw new Error(`${project} has no ${artifact}`);
      return version;
    },
  };
}

let lastBuild: Promise<unknown> = Promise.resolve();

/** Maven does not lock the repository that its downloads go to: two at once can spoil it. */
async function afterOthers(build: () => Promise<void>): Promise<void> {
  const mine = lastBuild.then(build);
  lastBuild = mine.catch(() => undefined);
  return mine;
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}
