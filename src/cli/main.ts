import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { nearest } from '../config/nearest.ts';
import { check } from './check.ts';
import type { ConfigurationOptions } from './configuration.ts';
import { EXIT } from './exit-codes.ts';
import { init } from './init.ts';
import type { Io } from './io.ts';
import { processIo } from './io.ts';
import { start } from './start.ts';

const EXAMPLES = `
Examples:
  unsticky --upstream http://127.0.0.1:10015 --upstream http://127.0.0.1:10016
  unsticky init && unsticky check && unsticky start
  unsticky start -c /etc/unsticky.yaml --listen :8099
  UNSTICKY_STORE=rediss://:secret@redis.example:6379 unsticky start -c unsticky.yaml

Signals:
  SIGTERM, SIGINT  stop accepting, let requests and tunnels end, exit 0; a second one ends at once
  SIGHUP           read the file again; if it is invalid, the old configuration stays

Exit codes:
  0 ok · 64 wrong usage · 69 address in use, or Redis is required and cannot be reached · 70 bug
  73 init cannot write the file · 77 not allowed to listen there · 78 invalid configuration
  130, 143 ended at once by a second SIGINT, SIGTERM

Environment (a flag wins over it, it wins over the file):
  UNSTICKY_CONFIG UNSTICKY_LISTEN UNSTICKY_UPSTREAMS UNSTICKY_STORE UNSTICKY_REDIS_PASSWORD
  UNSTICKY_ADMIN UNSTICKY_LOG_LEVEL
`;

/**
 * Runs a command line and resolves with its exit code; never rejects for anything that a user can
 * do wrong.
 *
 * @param argv - arguments without the names of Node and the script
 */
export async function main(argv: readonly string[], io: Io = processIo()): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  const unknown = unknownCommand(argv, program);
  if (unknown !== undefined) {
    io.stderr.write(unknown);
    return EXIT.usage;
  }
  try {
    await program.parseAsync(argv, { from: 'user' });
    return exitCode;
  } catch (error) {
    // Help, version and wrong usage; commander has written what there is to say.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    throw error;
  }
}

function createProgram(io: Io, done: (exitCode: number) => void): Command {
  const program = new Command('unsticky')
    .description(
      'A reverse proxy that routes every Socket.IO request to the server that owns its session.',
    )
    .usage('[command] [options]')
    .version(version(), '-V, --version')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .showHelpAfterError('(unsticky --help tells more)');

  const startCommand = withConfiguration(program.command('start', { isDefault: true }))
    .description('run the router (also without the word start)')
    .action(async (options: ConfigurationOptions) => {
      done(await start(options, io));
    });
  withConfiguration(program.command('check'))
    .description('say what a configuration means, or all that is wrong with it')
    .action((options: ConfigurationOptions) => {
      done(check(options, io));
    });
  program
    .command('init')
    .description('write a commented configuration file')
    .argument('[file]', 'file to write', 'unsticky.yaml')
    .option('--force', 'overwrite an existing file')
    .action((file: string, options: { force?: boolean }) => {
      done(init(file, options, io));
    });
  return program.addHelpText('after', () => `\n${optionsOf(startCommand)}${EXAMPLES}`);
}

function withConfiguration(command: Command): Command {
  return command
    .option('-c, --config <file>', 'YAML file (unsticky.yaml or unsticky.yml, if there is one)')
    .option('--listen <address>', 'where clients connect, such as :8099; repeatable', append)
    .option('--upstream <url>', 'a Socket.IO server; repeatable', append)
    .option('--store <store>', 'memory, or redis://… (a password is safer in UNSTICKY_STORE)')
    .option('--admin <address>', 'health and status, on this machine only')
    .option('--workers <number>', 'processes; only 1 in this version')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, trace or silent');
}

function append(value: string, values: readonly string[] = []): readonly string[] {
  return [...values, value];
}

function optionsOf(command: Command): string {
  const help = command.createHelp();
  const rows = help
    .visibleOptions(command)
    .map((option) => `  ${help.optionTerm(option).padEnd(24)}${help.optionDescription(option)}\n`);
  return `Options of ${command.name()} and check:\n${rows.join('')}`;
}

/** The default command would take a mistyped command for an argument of its own. */
function unknownCommand(argv: readonly string[], program: Command): string | undefined {
  const [word] = argv;
  const names = ['help', ...program.commands.map((command) => command.name())];
  if (word === undefined || word.startsWith('-') || names.includes(word)) return undefined;
  const near = nearest(word, names);
  const hint = near === undefined ? 'unsticky --help lists them' : `did you mean ${near}?`;
  return `unsticky: unknown command ${JSON.stringify(word)} (${hint})\n`;
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
