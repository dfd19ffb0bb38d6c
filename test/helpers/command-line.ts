import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { withDeadline } from './deadline.ts';

const DEADLINE_MS = 10_000;
const PROGRAM = join(import.meta.dirname, '../../bin/unsticky.js');

/** How a process ended: its exit code, or the signal that killed it. */
export type Exit = number | NodeJS.Signals;

/** The built command line in a process and a folder of its own. */
export class CommandLine {
  /** Where it runs, and where its configuration file lies. */
  readonly folder: string;
  readonly pid: number;
  /** Settles when the process is gone and all it wrote is here. */
  readonly exited: Promise<Exit>;
  stdout = '';
  stderr = '';
  readonly #watchers = new Set<() => void>();

  /**
   * Runs `unsticky start` with `unsticky.yaml` in a new folder.
   *
   * @param config - the file's text, or its keys, to which `listen` on a free port is added
   */
  constructor(
    config: string | Readonly<Record<string, unknown>>,
    environment: Readonly<Record<string, string>> = {},
  ) {
    this.folder = mkdtempSync(join(tmpdir(), 'unsticky-e2e-'));
    this.configure(config);
    const child = spawn(process.execPath, [PROGRAM, 'start'], {
      cwd: this.folder,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = child.pid ?? 0;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
      for (const watcher of this.#watchers) watcher();
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.exited = new Promise((resolve) =>
      child.once('close', (code, signal) => resolve(code ?? signal ?? 0)),
    );
  }

  /** Rewrites the configuration file. */
  configure(config: string | Readonly<Record<string, unknown>>): void {
    // Every JSON text is a YAML text.
    const text =
      typeof config === 'string' ? config : JSON.stringify({ listen: '127.0.0.1:0', ...config });
    writeFileSync(join(this.folder, 'unsticky.yaml'), text);
  }

  /** Lines logged so far. */
  get lines(): readonly Record<string, unknown>[] {
    const whole = this.stdout.slice(0, this.stdout.lastIndexOf('\n') + 1);
    const lines = whole.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  /** Waits for the log line with this message, the `nth` of its kind; fails if the process ends first. */
  async logged(message: string, nth = 1): Promise<Record<string, unknown>> {
    const found = new Promise<Record<string, unknown>>((resolve, reject) => {
      const look = (): void => {
        const line = this.lines.filter(({ msg }) => msg === message)[nth - 1];
        if (line === undefined) return;
        this.#watchers.delete(look);
        resolve(line);
      };
      this.#watchers.add(look);
      void this.exited.then((exit) =>
        reject(new Error(`ended with ${exit} before "${message}": ${this.stdout}${this.stderr}`)),
      );
      look();
    });
    return withDeadline(found, DEADLINE_MS, `logs "${message}"`);
  }

  /** Waits until it listens and returns the first address. */
  async url(): Promise<string> {
    await this.logged('started');
    return String((await this.logged('listening'))['url']);
  }

  signal(signal: NodeJS.Signals): void {
    process.kill(this.pid, signal);
  }

  async exit(ms = DEADLINE_MS): Promise<Exit> {
    return withDeadline(this.exited, ms, 'the command line ends');
  }

  /** Kills what still runs and removes the folder. */
  async close(): Promise<void> {
    try {
      this.signal('SIGKILL');
    } catch {
      // It has ended by itself.
    }
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}
