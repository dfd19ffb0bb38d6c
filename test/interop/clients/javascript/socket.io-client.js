// node socket.io-client.js MODULE: any line of socket.io-client.
import { createRequire } from 'node:module';
import { answerLines, Arrivals, sayClosed } from './lines.js';

const connectTo = createRequire(import.meta.url)(process.argv[2]);
const arrivals = new Arrivals();
let socket;
let ended;

answerLines({
  connect: ({ url, transports }) =>
    new Promise((resolve, reject) => {
      socket = connectTo(url, { transports, reconnection: false, forceNew: true });
      ended = new Promise((end) => socket.once('disconnect', end));
      ended.then(sayClosed);
      socket.on('connect_error', reject);
      socket.on('error', reject);
      socket.on('n', (number) => arrivals.add(number));
      socket.once('welcome', (node) => resolve({ node }));
    }),
  transport: () => socket.io.engine.transport.name,
  echo: async (order) => read(await acknowledged('echo', write(order))),
  whoami: () => acknowledged('whoami'),
  stream: ({ count }) => {
    const numbers = arrivals.next(count);
    socket.emit('stream', count);
    return numbers;
  },
  leave: () => {
    socket.emit('leave');
    return ended.then(() => undefined);
  },
  disconnect: () => {
    socket.disconnect();
    return ended.then(() => undefined);
  },
});

function acknowledged(event, ...payload) {
  return new Promise((resolve) => socket.emit(event, ...payload, resolve));
}

function write({ text, json, base64 }) {
  return base64 === undefined ? (text ?? json) : Buffer.from(base64, 'base64');
}

function read(payload) {
  if (typeof payload === 'string') return { text: payload };
  if (ArrayBuffer.isView(payload) || payload instanceof ArrayBuffer) {
    return { base64: Buffer.from(payload).toString('base64') };
  }
  return { json: payload };
}
