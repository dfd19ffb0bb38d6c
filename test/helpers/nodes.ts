import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import type { ServerOptions } from 'socket.io';

/** A real Socket.IO 4 server with the behaviour that the tests talk to. */
export interface Node {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly io: Server;
  readonly server: http.Server;
  close(): Promise<void>;
}

/**
 * Starts one: answers `echo` with what it got and `whoami` with its name, and sends its name as
 * `welcome` on connect.
 */
export async function startNode(name: string, options: Partial<ServerOptions> = {}): Promise<Node> {
  const server = http.createServer((_req, res) => res.writeHead(404).end('no application here'));
  const io = new Server(server, options);
  io.on('connection', (socket) => {
    socket.emit('welcome', name);
    socket.on('echo', (payload: unknown, answer: (payload: unknown) => void) => {
      answer(payload);
    });
    socket.on('whoami', (answer: (name: string) => void) => {
      answer(name);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    name,
    port,
    url: `http://127.0.0.1:${String(port)}`,
    io,
    server,
    close: async () => {
      await io.close();
    },
  };
}
