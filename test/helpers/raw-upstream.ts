import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo } from 'node:net';

/** A server that says on the wire exactly what a test tells it to. */
export interface RawUpstream {
  readonly port: number;
  /** Connections accepted so far, in their order. */
  readonly sockets: readonly net.Socket[];
  /** Connections that are open. */
  readonly open: () => number;
  close(): Promise<void>;
}

/** Starts it on a free port; `serve` gets each connection and its number, counted from 0. */
export async function startRawUpstream(
  serve: (socket: net.Socket, index: number) => void,
): Promise<RawUpstream> {
  const sockets: net.Socket[] = [];
  const server = net.createServer((socket) => {
    socket.on('error', () => undefined);
    sockets.push(socket);
    serve(socket, sockets.length - 1);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    open: () => sockets.filter((socket) => !socket.destroyed).length,
    close: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Calls back with each whole request head that arrives on a connection (bodies are not told apart). */
export function onRequestHead(socket: net.Socket, answer: (head: string) => void): void {
  let received = '';
  socket.on('data', (chunk) => {
    received += chunk.toString('latin1');
    for (;;) {
      const end = received.indexOf('\r\n\r\n');
      if (end === -1) return;
      const head = received.slice(0, end);
      received = received.slice(end + 4);
      answer(head);
    }
  });
}
