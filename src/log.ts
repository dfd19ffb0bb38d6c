import { hash } from 'node:crypto';
import { pino } from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { LogLevel } from './config/config.ts';
import { LogWriter } from './log-writer.ts';

const MAX_CLIENT_TEXT = 256;

/** Writes one line at a level; fields come first so that the message stays a constant sentence. */
export interface LogFunction {
  (fields: object, message: string): void;
  (message: string): void;
}

/** Structured log. An `Error` goes into the field `err`. */
export interface Logger {
  readonly fatal: LogFunction;
  readonly error: LogFunction;
  readonly warn: LogFunction;
  readonly info: LogFunction;
  readonly debug: LogFunction;
  /** A logger that adds these fields to each of its lines. */
  child(fields: Record<string, unknown>): Logger;
}

/** A {@link Logger} whose lines can be waited for. */
export interface RootLogger extends Logger {
  /** Resolves when all lines are written or given up on, after one second at the latest. */
  flush(): Promise<void>;
  /** Flushes; what comes later is dropped. */
  close(): Promise<void>;
}

/** Where lines go, if not to a file descriptor. */
export interface LogSink {
  write(text: string): unknown;
}

/** What {@link createLogger} needs to know. */
export interface LoggerOptions {
  readonly level: LogLevel;
  /** For people: one coloured line per record in place of JSON. */
  readonly pretty: boolean;
  /** File descriptor or sink. Default 1, the standard output. */
  readonly destination?: number | LogSink;
}

/**
 * Makes the process's logger. Never blocks, never throws: lines that a slow, full or vanished
 * target does not take are dropped, counted, and reported once it takes lines again.
 */
export function createLogger(options: LoggerOptions): RootLogger {
  const destination = options.destination ?? 1;
  const sink =
    typeof destination === 'number' ? new LogWriter(destination, { onDropped }) : destination;
  const logger: Logger = pino(
    {
      level: options.level,
      base: null,
      formatters: { level: (label) => ({ level: label }) },
    },
    options.pretty ? prettySink(sink) : sink,
  );

  function onDropped(lines: number): void {
    logger.warn({ lines }, 'log lines were dropped because the log target did not take them');
  }
  return Object.assign(logger, {
    flush: async () => {
      if (sink instanceof LogWriter) await sink.flush();
    },
    close: async () => {
      if (sink instanceof LogWriter) await sink.close();
    },
  });
}

function prettySink(sink: LogSink): LogSink {
  const format = prettyFactory({
    colorize: true,
    singleLine: true,
    translateTime: 'SYS:HH:MM:ss.l',
    ignore: 'pid,hostname',
  });
  return {
    write: (line: string) => sink.write(format(line)),
  };
}

/** How a request ended. */
export interface AccessRecord {
  readonly method: string;
  /** Path only: the query holds the sid and is never logged. */
  readonly path: string;
  /** Status the client got; 499 when it left first. */
  readonly status: number;
  /** `polling`, `websocket`, or what else served it. */
  readonly transport: string | undefined;
  /** Id of the upstream that answered, if one did. */
  readonly upstream: string | undefined;
  /** {@link sidHash} of the sid, never the sid itself. */
  readonly sid: string | undefined;
  /** Milliseconds from the request header to the end. */
  readonly ms: number;
  /** Body bytes sent to the client. */
  readonly bytes: number;
  /** `ok`, or the error code. */
  readonly outcome: string;
}

/** Writes the access line of one request; what came from the client is cut and made printable. */
export function logAccess(logger: Logger, record: AccessRecord): void {
  logger.info(
    { ...record, method: printable(record.method), path: printable(record.path) },
    'request',
  );
}

function printable(text: string): string {
  return text
    .slice(0, MAX_CLIENT_TEXT)
    .replace(/\?.*$/s, '')
    .replace(/[^\x20-\x7e]/g, '?');
}

/**
 * First 8 hex digits of the sid's SHA-256: enough to follow a session through the logs, too little
 * to be one. A sid is a bearer secret; this is the only form in which it may be logged.
 */
export function sidHash(sid: string): string {
  return hash('sha256', sid, 'hex').slice(0, 8);
}
