import { ConfigError } from '../config/problem.ts';
import type { ConfigurationOptions } from './configuration.ts';
import { findConfiguration, reportProblems } from './configuration.ts';
import { describeConfig } from './describe.ts';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';

/** `unsticky check`: says what the configuration means, or all that is wrong with it. Starts nothing. */
export function check(options: ConfigurationOptions, io: Io): number {
  const configuration = findConfiguration(options, io);
  try {
    const config = configuration.load();
    io.stdout.write(
      `${configuration.file ?? 'The configuration'} is valid.\n\n${describeConfig(config)}`,
    );
    return EXIT.ok;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    reportProblems(error, configuration.file, io.stderr);
    return EXIT.config;
  }
}
