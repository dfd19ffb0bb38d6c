import { once } from 'node:events';
import { io } from 'socket.io-client';
import type { ManagerOptions, Socket, SocketOptions } from 'socket.io-client';
import { withDeadline } from './deadline.ts';

/** The three ways in which a Socket.IO client may go about its transports. */
export const WAYS: readonly (readonly [name: string, transports: string[]])[] = [
  ['polling only', ['polling']],
  ['polling, then websocket', ['polling', 'websocket']],
  ['websocket only', ['websocket']],
];

/** Connects and resolves when the server has welcomed it. Fails at the first connect error. */
export async function connectClient(
  url: string,
  options: Partial<ManagerOptions & SocketOptions> = {},
): Promise<Socket> {
  const socket = io(url, { forceNew: true, reconnection: false, ...options });
  const connected = new Promise<void>((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', reject);
  });
  try {
    await withDeadline(connected, 10_000, 'client connects');
  } catch (error) {
    socket.close();
    throw error;
  }
  return socket;
}

/** Resolves when the connection runs over WebSocket. */
export async function upgraded(socket: Socket): Promise<void> {
  const { engine } = socket.io;
  if (engine.transport.name === 'websocket') return;
  await withDeadline(once(engine as never, 'upgrade'), 10_000, 'client upgrades to websocket');
}

/** Asks the server for an echo and returns it. */
export async function echo(socket: Socket, payload: unknown): Promise<unknown> {
  return socket.timeout(20_000).emitWithAck('echo', payload);
}
