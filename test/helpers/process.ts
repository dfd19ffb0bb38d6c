import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { withDeadline } from './deadline.ts';

export interface ProcessOptions {
  /** A line of output that says the process serves. */
  readonly ready: RegExp;
  /** Limit for that line in milliseconds. Default 20 000. */
  readonly readyMs?: number;
  readonly cwd?: string;
}

export interface RunningProcess {
  readonly pid: number;
  /** What `ready` matched. */
  readonly ready: RegExpExecArray;
  /** Everything printed so far, both streams. */
  readonly output: () => string;
  /** Sends SIGTERM, or another signal, and waits for the end; kills what does not end by itself. */
  readonly close: (signal?: NodeJS.Signals) => Promise<void>;
}

const EXIT_MS = 10_000;

/** Starts a program and waits until it says that it serves; rejects with its output when it ends first. */
export async function startProcess(
  command: string,
  args: readonly string[],
  options: ProcessOptions,
): Promise<RunningProcess> {
  const child = spawn(command, args, {
    cwd: options.cwd,
    // An ordinary user's PATH on Debian leaves out the folder where nginx lives.
    env: { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` },
    // An open standard input: programs that watch it end with this process, however it ends.
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => {
      resolve();
    });
  });
  let output = '';
  const ready = new Promise<RegExpExecArray>((resolve, reject) => {
    const read = (chunk: string): void => {
      output += chunk;
      const match = options.ready.exec(output);
      if (match !== null) resolve(match);
    };
    child.stdout.setEncoding('utf8').on('data', read);
    child.stderr.setEncoding('utf8').on('data', read);
    child.once('error', reject);
    child.once('close', (code) => {
      reject(new Error(`${command} ended with ${String(code)} before it was ready:\n${output}`));
    });
  });
  const close = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill(signal);
    try {
      await withDeadline(exited, EXIT_MS, `${command} ended after ${signal}`);
    } catch (error) {
      child.kill('SIGKILL');
      await once(child, 'close');
      const tail = output.split('\n').slice(-8).join('\n');
      throw new Error(`${String(error)}; its last output:\n${tail}`, { cause: error });
    }
  };
  try {
    const match = await withDeadline(ready, options.readyMs ?? 20_000, `${command} was ready`);
    return { pid: child.pid ?? 0, ready: match, output: () => output, close };
  } catch (error) {
    await close('SIGKILL');
    throw error;
  }
}
