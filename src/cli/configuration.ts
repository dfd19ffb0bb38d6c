import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Config } from '../config/config.ts';
import { loadConfig } from '../config/load.ts';
import type { Flags } from '../config/overrides.ts';
import type { ConfigError } from '../config/problem.ts';
import { formatProblem } from '../config/problem.ts';
import type { Io, Output } from './io.ts';

/** Options that `start` and `check` share. */
export interface ConfigurationOptions extends Flags {
  /** File named with `-c`. */
  readonly config?: string;
}

const DEFAULT_FILES = ['unsticky.yaml', 'unsticky.yml'];

/** A configuration and where it came from. */
export interface Configuration {
  /** Undefined when there are only flags and environment. */
  readonly file: string | undefined;
  /** Reads everything again. Throws `ConfigError`. */
  load(): Config;
}

/** Decides which file counts: `-c`, `UNSTICKY_CONFIG`, or `unsticky.yaml` in the working directory. */
export function findConfiguration(options: ConfigurationOptions, io: Io): Configuration {
  const { config, ...flags } = options;
  const { environment, folder } = io;
  const file =
    config ??
    (environment['UNSTICKY_CONFIG'] || undefined) ??
    DEFAULT_FILES.find((name) => existsSync(resolve(folder, name)));
  return {
    file,
    load: () => loadConfig({ flags, environment, folder, ...(file !== undefined && { file }) }),
  };
}

/** Writes all problems of a configuration for people. */
export function reportProblems(error: ConfigError, file: string | undefined, output: Output): void {
  const { problems } = error;
  const count = problems.length === 1 ? 'one problem' : `${String(problems.length)} problems`;
  output.write(`unsticky: ${count} in the configuration\n\n`);
  for (const problem of problems) output.write(`${formatProblem(problem)}\n`);
  if (file === undefined) {
    output.write(
      '\nThere is no configuration file: "unsticky init" writes one, or name the servers:\n' +
        '  unsticky --upstream http://127.0.0.1:10015 --upstream http://127.0.0.1:10016\n',
    );
  }
}
