import type { Config } from '../config/config.ts';
import { ConfigError, summarizeProblem } from '../config/problem.ts';
import { UnstickyError } from '../errors.ts';
import type { RootLogger } from '../log.ts';
import { createLogger } from '../log.ts';
import type { RunningRouter } from '../server.ts';
import { startRouter } from '../server.ts';
import type { Configuration, ConfigurationOptions } from './configuration.ts';
import { findConfiguration, reportProblems } from './configuration.ts';
import { describeStore, listenerUrl } from './describe.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import type { Io, Signal } from './io.ts';
import { nodeWarning } from './node-version.ts';

/**
 * `unsticky start`: runs a router until SIGTERM or SIGINT.
 *
 * @returns exit code, when nothing of the router is left
 */
export async function start(options: ConfigurationOptions, io: Io): Promise<number> {
  const configuration = findConfiguration(options, io);
  let log: RootLogger | undefined;
  try {
    const config = configuration.load();
    log = createLogger({
      level: config.log.level,
      pretty: io.stdout.isTTY === true,
      destination: io.stdout.fd ?? io.stdout,
    });
    return await new Run(configuration, log, io).run(config);
  } catch (error) {
    if (!(error instanceof UnstickyError)) throw error;
    if (error instanceof ConfigError) reportProblems(error, configuration.file, io.stderr);
    else io.stderr.write(`unsticky: ${error.message}\n`);
    return exitCodeOf(error);
  } finally {
    await log?.close();
  }
}

/** One router's life in this process. */
class Run {
  readonly #configuration: Configuration;
  readonly #log: RootLogger;
  readonly #io: Io;
  #config: Config | undefined;
  #router: RunningRouter | undefined;
  #stopping = false;
  #end: (code: number) => void = () => undefined;

  constructor(configuration: Configuration, log: RootLogger, io: Io) {
    this.#configuration = configuration;
    this.#log = log;
    this.#io = io;
  }

  async run(config: Config): Promise<number> {
    const ended = new Promise<number>((resolve) => {
      this.#end = resolve;
    });
    const { signals } = this.#io;
    // Before the first await: a signal during the start must not kill the process half-way.
    signals.on('SIGTERM', this.#onStop);
    signals.on('SIGINT', this.#onStop);
    signals.on('SIGHUP', this.#onHangUp);
    try {
      await this.#start(config);
      return await ended;
    } finally {
      signals.off('SIGTERM', this.#onStop);
      signals.off('SIGINT', this.#onStop);
      signals.off('SIGHUP', this.#onHangUp);
    }
  }

  async #start(config: Config): Promise<void> {
    const log = this.#log;
    const warning = nodeWarning(this.#io.nodeVersion);
    if (warning !== undefined) log.warn(warning);
    const router = await startRouter(config, log);
    this.#config = config;
    this.#router = router;
    for (const address of router.addresses) log.info({ url: listenerUrl(address) }, 'listening');
    log.info(
      {
        file: this.#configuration.file,
        upstreams: config.upstreams.map(({ id, url }) =>
          url.endsWith(`//${id}`) ? url : `${id} ${url}`,
        ),
        store: describeStore(config.store),
        paths: config.paths,
      },
      'started',
    );
    if (this.#stopping) this.#close(router);
  }

  readonly #onStop = (signal: Signal): void => {
    if (this.#stopping) {
      this.#endNow(signal === 'SIGINT' ? EXIT.sigint : EXIT.sigterm);
      return;
    }
    this.#stopping = true;
    this.#log.info({ signal }, 'stopping: a second signal ends at once');
    // While it still starts, #start sees the flag.
    if (this.#router !== undefined) this.#close(this.#router);
  };

  readonly #onHangUp = (signal: Signal): void => {
    if (this.#stopping) return;
    // Without a file there is nothing to read again, and the terminal is gone.
    if (this.#configuration.file === undefined) this.#onStop(signal);
    else this.#reload();
  };

  #close(router: RunningRouter): void {
    router.close().then(
      () => {
        this.#log.info('stopped');
        this.#end(EXIT.ok);
      },
      (error: unknown) => {
        this.#log.fatal({ err: error }, 'stopping failed');
        this.#end(EXIT.software);
      },
    );
  }

  #endNow(code: number): void {
    this.#log.warn('ended at once by a second signal');
    const destroyed = this.#router?.destroy() ?? Promise.resolve();
    destroyed.catch((error: unknown) => {
      this.#log.error({ err: error }, 'ending at once failed');
    });
    this.#end(code);
    void this.#log.close().then(() => {
      this.#io.exit(code);
    });
  }

  #reload(): void {
    const before = this.#config;
    const router = this.#router;
    if (before === undefined || router === undefined) return;
    try {
      const config = this.#configuration.load();
      const keys = [...router.reconfigure(config)];
      if (config.log.level !== before.log.level) keys.push('log.level');
      this.#config = config;
      this.#log.info({ file: this.#configuration.file }, 'configuration reloaded');
      if (keys.length > 0) this.#log.warn({ keys }, 'these keys need a restart to take effect');
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const problems = error.problems.map(summarizeProblem);
      this.#log.error({ problems }, 'configuration is invalid: the old one stays in force');
    }
  }
}
