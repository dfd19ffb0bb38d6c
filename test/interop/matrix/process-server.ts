import { withFreePort } from '../../helpers/free-port.ts';
import { startProcess } from '../../helpers/process.ts';
import type { ServerKind, ServerNode } from './contract.ts';

/** A program's name or path, and its arguments. */
export type Command = readonly [command: string, args: readonly string[]];

/** A kind of server whose nodes are processes. */
export interface ServerProgram extends Omit<ServerKind, 'start'> {
  /** What starts a node; called once it is built. */
  readonly command: (port: number, name: string) => Command;
  /** Where it runs; default the folder of the whole run. */
  readonly cwd?: string;
}

/** What a server says about its clients, one JSON object a line. */
export interface ServerEvent {
  readonly event: string;
  readonly id: string;
  readonly reason?: string;
}

/** Makes a kind of server of a program that behaves as `ServerKind` says. */
export function processServer(program: ServerProgram): ServerKind {
  const { command, cwd, ...kind } = program;
  const startOn = async (port: number, name: string): Promise<ServerNode> => {
    const node = await startProcess(...command(port, name), {
      ready: /^ready/m,
      ...(cwd === undefined ? {} : { cwd }),
    });
    const url = `http://127.0.0.1:${String(port)}`;
    return { name, port, url, process: node, close: () => node.close() };
  };
  const start = async (name: string, port?: number): Promise<ServerNode> =>
    port === undefined ? withFreePort((free) => startOn(free, name)) : startOn(port, name);
  return { ...kind, start };
}

/** What is read of each node's output so far. */
const read = new WeakMap<ServerNode, { chars: number; readonly events: ServerEvent[] }>();

/** What a node has said so far, of one kind of event. */
export function eventsOf(node: ServerNode, event: string): readonly ServerEvent[] {
  const known = read.get(node) ?? { chars: 0, events: [] };
  read.set(node, known);
  const fresh = node.process.output().slice(known.chars);
  const whole = fresh.slice(0, fresh.lastIndexOf('\n') + 1);
  known.chars += whole.length;
  for (const line of whole.split('\n')) {
    if (/^\{"event".*\}\s*$/.test(line)) known.events.push(JSON.parse(line) as ServerEvent);
  }
  return known.events.filter((said) => said.event === event);
}
