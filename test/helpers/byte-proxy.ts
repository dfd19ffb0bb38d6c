import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';

/** A TCP proxy to a port of this machine that hands on the answers byte by byte. */
export interface ByteProxy {
  readonly url: string;
  /** Bytes that it has handed on, each in a write of its own. */
  readonly bytes: () => number;
  close(): Promise<void>;
}

/** Starts it on a free port. */
export async function startByteProxy(targetPort: number): Promise<ByteProxy> {
  const sockets = new Set<Socket>();
  let bytes = 0;
  const server = createServer((client) => {
    const target = connect({ port: targetPort, host: '127.0.0.1' });
    for (const [socket, other] of [
      [client, target],
      [target, client],
    ] as const) {
      sockets.add(socket.on('error', () => other.destroy()).setNoDelay(true));
      socket.once('close', () => sockets.delete(socket));
    }
    client.pipe(target);
    void writeByteByByte(client, target, () => (bytes += 1)).catch(() => client.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${String((server.address() as AddressInfo).port)}`,
    bytes: () => bytes,
    close: async () => {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

/** Writes what comes, one byte at a time, so that the other side reads it in as many pieces. */
export async function writeByteByByte(
  socket: Socket,
  source: AsyncIterable<Buffer> | Iterable<Buffer>,
  onByte?: () => void,
): Promise<void> {
  for await (const chunk of source) {
    for (const byte of chunk) {
      socket.write(Buffer.of(byte));
      onByte?.();
      await nextTurn();
    }
  }
}
