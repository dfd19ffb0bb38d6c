import { createLogger } from '../../src/log.ts';
import type { Logger } from '../../src/log.ts';

/** One line that was logged: its fields, with `level` and `msg` among them. */
export type LogLine = Readonly<Record<string, unknown>>;

/**
 * The real logger, its lines kept for a test to look at.
 *
 * @param onLine - called with each line as it is logged
 */
export function recordingLog(onLine?: (line: LogLine) => void): {
  readonly log: Logger;
  readonly lines: readonly LogLine[];
} {
  const lines: LogLine[] = [];
  const write = (text: string): void => {
    const line = JSON.parse(text) as LogLine;
    lines.push(line);
    onLine?.(line);
  };
  return { log: createLogger({ level: 'debug', pretty: false, destination: { write } }), lines };
}
