/**
 * One chat server, as any Socket.IO tutorial would write it: `node server.js NAME PORT`.
 *
 * Two servers share no rooms by themselves. So that everyone sees every message, each one hands
 * what it hears to the process that started it, which hands it to the other. An application would
 * use a Socket.IO adapter for that; the router has no part in it.
 */
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const [name, port] = process.argv.slice(2);
const MAX_NAME = 40;
const MAX_MESSAGE = 2000;

const http = createServer();
const io = new Server(http);
let servers = [];

io.on('connection', (socket) => {
  socket.emit('welcome', { server: name });
  socket.emit('servers', servers);
  socket.on('helloevent', (said, acknowledge) => {
    const push = pushOf(said);
    if (push !== undefined) {
      io.emit('hellopush', push);
      process.send({ kind: 'push', push });
    }
    if (typeof acknowledge === 'function') acknowledge({ ok: push !== undefined });
  });
});

/** What everyone is told, or undefined if a client sent something else than a message. */
function pushOf(said) {
  const isText = (value, max) => typeof value === 'string' && value !== '' && value.length <= max;
  if (typeof said !== 'object' || said === null) return undefined;
  if (!isText(said.name, MAX_NAME) || !isText(said.message, MAX_MESSAGE)) return undefined;
  if (!isText(said.id, MAX_NAME)) return undefined;
  return { id: said.id, name: said.name, message: said.message, server: name };
}

process.on('message', (news) => {
  if (news.kind === 'push') io.emit('hellopush', news.push);
  if (news.kind === 'servers') {
    servers = news.servers;
    io.emit('servers', servers);
  }
});
process.on('disconnect', () => process.exit());
// Ctrl-C reaches every process of the terminal; the demo decides the order of the end.
process.on('SIGINT', () => undefined);

http.on('error', (error) => {
  process.send({ kind: 'failed', reason: error.code ?? error.message });
});
http.listen(Number(port), '127.0.0.1', () => {
  process.send({ kind: 'ready', port: http.address().port });
});
