// node socket.io.js MODULE OPTIONS PORT NAME: any line of socket.io, with options as JSON.
import { createRequire } from 'node:module';
import { say, serve } from './behaviour.js';

const [module, options, port, name] = process.argv.slice(2);
const socketIo = createRequire(import.meta.url)(module);
let clients = 0;

serve(
  (server) => {
    const io = socketIo(server, JSON.parse(options));
    io.on('connection', (socket) => welcome(io, socket));
  },
  Number(port),
  name,
);

function welcome(io, socket) {
  const { id } = socket;
  clients++;
  say({ event: 'connect', id });
  socket.on('disconnect', (reason) => {
    clients--;
    say({ event: 'disconnect', id, reason });
  });
  socket.on('echo', (payload, ack) => ack(payload));
  socket.on('whoami', (ack) => ack(name));
  socket.on('clients', (ack) => ack(clients));
  socket.on('broadcast', (text) => io.emit('broadcasted', text));
  socket.on('stream', (count) => {
    for (let i = 0; i < count; i++) socket.emit('n', i);
  });
  socket.on('leave', () => socket.disconnect(true));
  socket.emit('welcome', name);
}
