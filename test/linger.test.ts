import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { endWith } from '../src/linger.ts';
import { withDeadline } from './helpers/deadline.ts';
import { RawClient } from './helpers/raw-client.ts';

const server = createServer({ allowHalfOpen: true });
const clients: RawClient[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await withDeadline(new Promise((done) => server.close(done)), 5000, 'server closed');
});

/** A client and the server's end of its connection. */
async function connection(): Promise<{ client: RawClient; socket: Socket }> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = new RawClient((server.address() as AddressInfo).port);
  clients.push(client);
  const [socket] = (await once(server, 'connection')) as [Socket];
  return { client, socket };
}

test('a client that reads and closes gets the whole answer and an orderly end', async () => {
  const { client, socket } = await connection();
  client.send('x'.repeat(100_000));
  let failed = false;
  client.socket.once('error', () => (failed = true));
  endWith(socket, 'the answer');
  expect(await client.untilClosed(900)).toBe('the answer');
  expect(failed).toBe(false);
});

test('a client that never closes its side is closed after a second', async () => {
  const { client, socket } = await connection();
  client.socket.removeAllListeners('end');
  endWith(socket, 'the answer');
  await withDeadline(once(socket, 'close'), 3000, 'socket closed');
  expect(client.received).toBe('the answer');
});

test('a socket that is gone does no harm', async () => {
  const { client, socket } = await connection();
  client.socket.resetAndDestroy();
  endWith(socket, 'the answer');
  const closed = new Promise((done) => socket.once('close', done));
  await withDeadline(closed, 900, 'socket closed');
  endWith(socket, 'once more');
});
