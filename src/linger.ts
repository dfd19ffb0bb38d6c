import type { Duplex } from 'node:stream';

/** How long a client may take to read its last answer, while what it still sends is thrown away. */
const LINGER_MS = 1_000;

/**
 * Writes a last answer and closes the socket: in peace if the client reads and closes its side, by
 * force after a second. Servers keep half-open connections, so ending alone would leave it to the
 * client how long the socket lives. Never throws.
 */
export function endWith(socket: Duplex, answer: string): void {
  if (socket.destroyed) return;
  const linger = setTimeout(() => {
    socket.destroy();
  }, LINGER_MS);
  socket.on('error', () => undefined);
  socket.once('close', () => {
    clearTimeout(linger);
  });
  socket.end(answer);
  // Closing with unread bytes would reset the connection, and the client might not see the answer.
  socket.resume();
}
