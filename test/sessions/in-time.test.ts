import { once } from 'node:events';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { inTime, TIMED_OUT } from '../../src/sessions/in-time.ts';

const LIMIT_MS = 30;

/** Keeps the event loop from doing anything, as a long computation or a starved machine does. */
function stall(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

test('an answer that waited in the socket while the process was stalled is in time', async () => {
  const server = net.createServer((socket) => socket.once('data', () => socket.end('answer')));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const socket = net.connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(socket, 'connect');
  const answer = once(socket, 'data').then(([data]: unknown[]) => String(data));
  const inTimeAnswer = inTime(answer, LIMIT_MS);
  socket.write('question');
  // The server is in this process: let it answer, then stall before the answer is read.
  await new Promise((resolve) => setImmediate(resolve));
  stall(3 * LIMIT_MS);
  expect(await inTimeAnswer).toBe('answer');
  socket.destroy();
  server.close();
});

test('no answer is told after the limit, and a late one changes nothing', async () => {
  let settle: (value: string) => void = () => undefined;
  const late = new Promise<string>((resolve) => (settle = resolve));
  const outcome = inTime(late, LIMIT_MS);
  await expect(outcome).rejects.toThrow(TIMED_OUT);
  settle('late');
  await expect(outcome).rejects.toThrow(TIMED_OUT);
});

test('an error comes through as it is', async () => {
  await expect(inTime(Promise.reject(new Error('refused')), LIMIT_MS)).rejects.toThrow('refused');
});
