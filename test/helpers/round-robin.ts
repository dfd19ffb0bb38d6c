import { once } from 'node:events';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
} from 'node:http';
import { connect, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

export interface RoundRobin {
  readonly url: string;
  /** Requests and upgrades sent to each target so far. */
  readonly counts: readonly number[];
  close(): Promise<void>;
}

/**
 * A load balancer that knows nothing: every request, and every upgrade as well, goes to the next
 * port of the list over a connection of its own. Harder than any real one, which would at least
 * keep a connection's requests together.
 */
export async function startRoundRobin(ports: readonly number[]): Promise<RoundRobin> {
  const counts = ports.map(() => 0);
  const sockets = new Set<Duplex>();
  let turn = 0;
  const nextPort = (): number => {
    const index = turn++ % ports.length;
    counts[index] = (counts[index] ?? 0) + 1;
    return ports[index] ?? 0;
  };
  const server = createServer((request, response) => {
    relay(request, response, nextPort());
  });
  server.on('upgrade', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    const upstream = tunnel(request, client, head, nextPort());
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.once('close', () => sockets.delete(socket));
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port was given');
  return {
    url: `http://127.0.0.1:${String(address.port)}`,
    counts,
    async close(): Promise<void> {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

function relay(request: IncomingMessage, response: ServerResponse, port: number): void {
  const upstream = httpRequest({
    host: '127.0.0.1',
    port,
    method: request.method,
    path: request.url,
    agent: false,
    headers: [...withoutConnection(request.rawHeaders), 'Connection', 'close'],
  });
  upstream.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, withoutConnection(answer.rawHeaders));
    answer.on('error', () => response.destroy());
    answer.pipe(response);
  });
  upstream.on('error', () => response.destroy());
  response.on('close', () => upstream.destroy());
  request.on('error', () => upstream.destroy());
  request.pipe(upstream);
}

function tunnel(request: IncomingMessage, client: Duplex, head: Buffer, port: number): Socket {
  const upstream = connect(port, '127.0.0.1');
  client.on('error', () => upstream.destroy());
  upstream.on('error', () => client.destroy());
  client.on('close', () => upstream.destroy());
  upstream.on('close', () => client.destroy());
  const lines = [`${request.method ?? 'GET'} ${request.url ?? '/'} HTTP/1.1`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    lines.push(`${request.rawHeaders[i] ?? ''}: ${request.rawHeaders[i + 1] ?? ''}`);
  }
  upstream.write(`${lines.join('\r\n')}\r\n\r\n`);
  upstream.write(head);
  client.pipe(upstream);
  upstream.pipe(client);
  return upstream;
}

function withoutConnection(rawHeaders: readonly string[]): string[] {
  return rawHeaders.filter(
    (_, i) => !/^(connection|keep-alive)$/i.test(rawHeaders[i - (i % 2)] ?? ''),
  );
}
