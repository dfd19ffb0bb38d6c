/** Where the command line writes. */
export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  /** File descriptor behind it, if there is one: the log then writes to that without blocking. */
  readonly fd?: number;
}

/** Signals that mean something to a running router. */
export type Signal = 'SIGTERM' | 'SIGINT' | 'SIGHUP';

/** Tells about signals; `process` is one. */
export interface Signals {
  on(signal: Signal, listener: (signal: Signal) => void): unknown;
  off(signal: Signal, listener: (signal: Signal) => void): unknown;
}

/** All that the command line knows of the process it runs in. */
export interface Io {
  readonly stdout: Output;
  readonly stderr: Output;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Working directory. */
  readonly folder: string;
  /** Such as `v22.23.2`. */
  readonly nodeVersion: string;
  readonly signals: Signals;
  /** Ends the process at once. */
  exit(code: number): void;
}

/** The real process. */
export function processIo(): Io {
  return {
    stdout: process.stdout,
    stderr: process.stderr,
    environment: process.env,
    folder: process.cwd(),
    nodeVersion: process.version,
    signals: process,
    exit: (code) => process.exit(code),
  };
}
