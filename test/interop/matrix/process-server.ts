import { eventually } from '../../helpers/eventually.ts';
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
  const start = async (name: string): Promise<ServerNode> =>
    withFreePort(async (port) => {
      const node = await startProcess(...command(port, name), {
        ready: /^ready/m,
        ...(cwd === undefined ? {} : { cwd }),
      });
      const url = `http://127.0.0.1:${String(port)}`;
      return { name, port, url, process: node, close: () => node.close() };
    });
  return { ...kind, start };
}

/** What a node has said so far, of one kind of event. */
export function eventsOf(node: ServerNode, event: string): readonly ServerEvent[] {
  return node.process
    .output()
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as ServerEvent)
    .filter((said) => said.event === event);
}

/** Waits until a node has said this often that a client came or went. */
export async function untilEvents(
  node: ServerNode,
  event: string,
  count: number,
  ms: number,
): Promise<void> {
  const label = `${node.name} says "${event}" ${count} times`;
  await eventually(() => eventsOf(node, event).length >= count, ms, label);
}
