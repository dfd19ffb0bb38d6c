// node engine.io.js MODULE OPTIONS PORT NAME: any line of engine.io, with options as JSON.
import { createRequire } from 'node:module';
import { say, serve } from './behaviour.js';

const [module, options, port, name] = process.argv.slice(2);
const { attach } = createRequire(import.meta.url)(module);
let clients = 0;

serve(
  (server) => attach(server, JSON.parse(options)).on('connection', welcome),
  Number(port),
  name,
);

function welcome(socket) {
  const { id } = socket;
  clients++;
  say({ event: 'connect', id });
  socket.on('close', (reason) => {
    clients--;
    say({ event: 'disconnect', id, reason });
  });
  socket.on('message', (message) => answer(socket, message));
  socket.send(`welcome:${name}`);
}

function answer(socket, message) {
  const [order, count] = typeof message === 'string' ? message.split(':', 2) : [];
  switch (order) {
    case 'whoami':
      return socket.send(`whoami:${name}`);
    case 'clients':
      return socket.send(`clients:${clients}`);
    case 'leave':
      return socket.close();
    case 'stream':
      for (let i = 0; i < Number(count); i++) socket.send(`n:${i}`);
      return;
    default:
      socket.send(message);
  }
}
