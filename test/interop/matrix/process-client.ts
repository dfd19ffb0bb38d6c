import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { createInterface } from 'node:readline';
import { withDeadline } from '../../helpers/deadline.ts';
import type { ClientKind, ClientSession, Payload, Transports } from './contract.ts';
import type { Command } from './process-server.ts';

/** A kind of client whose sessions are processes. */
export interface ClientProgram extends Omit<ClientKind, 'connect'> {
  /** What starts a client; called once it is built. */
  readonly command: () => Command;
  /** Where it runs; default the folder of the whole run. */
  readonly cwd?: string;
}

/** Makes a kind of client of a program that speaks the lines at the end of `contract.ts`. */
export function processClient(program: ClientProgram): ClientKind {
  const { command, cwd, ...kind } = program;
  const connect: ClientKind['connect'] = async (url, transports) => {
    const client = new ClientProcess(command(), cwd);
    return open(client, url, transports);
  };
  return { ...kind, connect };
}

async function open(
  client: ClientProcess,
  url: string,
  transports: Transports,
): Promise<ClientSession> {
  const closed = client.nextClosed();
  try {
    const welcome = (await client.ask('connect', { url, transports })) as { node: string };
    return new ProcessSession(client, welcome.node, closed);
  } catch (error) {
    await client.kill();
    throw error;
  }
}

/** Every answer of a client has come by then: a machine with all its cores busy is slow. */
const ANSWER_MS = 30_000;
/** A client that has gone in order soon says that its connection has ended. */
const CLOSED_MS = 5000;

type Answer = { readonly id: number; readonly ok?: unknown; readonly error?: string };

class ClientProcess {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<void>;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #stderr = '';
  #lastId = 0;
  #onClosed: () => void = () => undefined;

  constructor([command, args]: Command, cwd: string | undefined) {
    this.#child = spawn(command, args, { cwd, stdio: 'pipe' });
    this.#child.stdin.on('error', () => undefined);
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => (this.#stderr += text));
    this.#exited = new Promise((resolve) => {
      this.#child.once('close', () => resolve());
      this.#child.once('error', (error) => {
        this.#stderr += String(error);
        resolve();
      });
    });
    createInterface(this.#child.stdout).on('line', (line) => {
      if (!line.startsWith('{')) return;
      const said = JSON.parse(line) as Answer | { readonly event: string };
      if ('event' in said) this.#onClosed();
      else this.#waiting.get(said.id)?.(said);
    });
  }

  /** Settles when the client says the next time that its connection has ended, or ends itself. */
  async nextClosed(): Promise<void> {
    const said = new Promise<void>((resolve) => (this.#onClosed = resolve));
    await Promise.race([said, this.#exited]);
  }

  async ask(what: string, more: Readonly<Record<string, unknown>> = {}): Promise<unknown> {
    const id = ++this.#lastId;
    const answered = new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      void this.#exited.then(() => resolve({ id, error: `it ended: ${this.#stderr}` }));
    });
    this.#child.stdin.write(`${JSON.stringify({ id, do: what, ...more })}\n`);
    try {
      const { ok, error } = await withDeadline(answered, ANSWER_MS, `the client did "${what}"`);
      if (error !== undefined) throw new Error(`the client could not "${what}": ${error}`);
      return ok;
    } finally {
      this.#waiting.delete(id);
    }
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#exited;
  }
}

class ProcessSession implements ClientSession {
  readonly node: string;
  readonly closed: Promise<void>;
  readonly #client: ClientProcess;

  constructor(client: ClientProcess, node: string, closed: Promise<void>) {
    this.#client = client;
    this.node = node;
    this.closed = closed;
  }

  async transport(): Promise<'polling' | 'websocket' | undefined> {
    const name = await this.#client.ask('transport');
    return name === 'polling' || name === 'websocket' ? name : undefined;
  }

  async echo(payload: Payload): Promise<Payload> {
    return read(await this.#client.ask('echo', write(payload)));
  }

  async whoami(): Promise<string> {
    return (await this.#client.ask('whoami')) as string;
  }

  async stream(count: number): Promise<number[]> {
    return (await this.#client.ask('stream', { count })) as number[];
  }

  async leave(): Promise<void> {
    await this.#client.ask('leave');
  }

  async disconnect(): Promise<void> {
    await this.#client.ask('disconnect');
  }

  async again(url: string, transports: Transports): Promise<ClientSession> {
    await withDeadline(this.closed, CLOSED_MS, 'the client says that its connection has ended');
    return open(this.#client, url, transports);
  }

  async drop(): Promise<void> {
    await this.#client.kill();
  }
}

function write(payload: Payload): Readonly<Record<string, unknown>> {
  switch (payload.kind) {
    case 'text':
      return { text: payload.text };
    case 'json':
      return { json: payload.json };
    case 'binary':
      return { base64: payload.bytes.toString('base64') };
  }
}

function read(said: unknown): Payload {
  const { text, json, base64 } = said as { text?: string; json?: unknown; base64?: string };
  if (text !== undefined) return { kind: 'text', text };
  if (base64 !== undefined) return { kind: 'binary', bytes: Buffer.from(base64, 'base64') };
  return { kind: 'json', json };
}
