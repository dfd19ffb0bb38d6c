import io, { type ClientSocket } from 'socket.io-client-2';
import { withDeadline } from '../../helpers/deadline.ts';

/** The ways a client can be told to connect. */
export const MODES = {
  'polling only': ['polling'],
  'polling then websocket': ['polling', 'websocket'],
  'websocket only': ['websocket'],
} as const;

export type Mode = keyof typeof MODES;

export interface CrowdResult {
  /** Clients whose every message was acknowledged, by one and the same node, over the wanted transport. */
  readonly served: number;
  /** Served clients by the node that served them. */
  readonly byNode: ReadonlyMap<string, number>;
  /** What went wrong for the others. */
  readonly failures: readonly string[];
}

export interface Acknowledged {
  readonly name: string;
  readonly message: string;
  readonly node: string;
}

const CLIENTS = 50;
const MESSAGES = 5;
const STEP_MS = 20_000;

/** Lets 50 clients connect at once, say five things each and wait for every acknowledgement. */
export async function runCrowd(url: string, mode: Mode): Promise<CrowdResult> {
  const results = await Promise.allSettled(
    Array.from({ length: CLIENTS }, (_, i) => runClient(url, mode, `client-${String(i)}`)),
  );
  const byNode = new Map<string, number>();
  const failures: string[] = [];
  for (const result of results) {
    if (result.status === 'rejected') failures.push(String(result.reason));
    else byNode.set(result.value, (byNode.get(result.value) ?? 0) + 1);
  }
  return { served: CLIENTS - failures.length, byNode, failures };
}

/** Connects, or rejects with the reason; the client does not try again by itself. */
export async function connectClient(url: string, mode: Mode): Promise<ClientSocket> {
  const socket = io(url, { transports: MODES[mode], forceNew: true, reconnection: false });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', () => {
      resolve();
    });
    for (const event of ['connect_error', 'error', 'disconnect']) {
      socket.once(event, (reason) => {
        reject(new Error(`${event}: ${String(reason)}`));
      });
    }
  });
  try {
    await withDeadline(connected, STEP_MS, 'connect');
    return socket;
  } catch (error) {
    socket.disconnect();
    throw error;
  }
}

/** Emits an event and resolves with its acknowledgement; rejects when the session ends first. */
export async function ask(socket: ClientSocket, event: string, value: unknown): Promise<unknown> {
  const answer = new Promise<unknown>((resolve, reject) => {
    socket.once('disconnect', (reason) => {
      reject(new Error(`disconnect: ${String(reason)}`));
    });
    socket.emit(event, value, resolve);
  });
  return withDeadline(answer, STEP_MS, `acknowledgement of ${event}`);
}

async function runClient(url: string, mode: Mode, name: string): Promise<string> {
  const socket = await connectClient(url, mode);
  try {
    const nodes = new Set<string>();
    for (let i = 0; i < MESSAGES; i++) {
      const message = `message ${String(i)} of ${name}`;
      const answer = (await ask(socket, 'helloevent', { name, message })) as Acknowledged;
      if (answer.message !== message) throw new Error(`acknowledged: ${answer.message}`);
      nodes.add(answer.node);
    }
    const [node, ...others] = nodes;
    if (node === undefined || others.length > 0) throw new Error(`nodes: ${[...nodes].join()}`);
    await withDeadline(reached(socket, mode), STEP_MS, 'upgrade');
    return node;
  } finally {
    socket.disconnect();
  }
}

/** Resolves when the client uses the last transport of its mode; it may have come that far long ago. */
async function reached(socket: ClientSocket, mode: Mode): Promise<void> {
  const { engine } = socket.io;
  const wanted = MODES[mode].at(-1);
  if (engine.transport.name !== wanted) {
    await new Promise<void>((resolve) => {
      engine.once('upgrade', resolve);
    });
  }
  if (engine.transport.name !== wanted) throw new Error(`transport is ${engine.transport.name}`);
}
