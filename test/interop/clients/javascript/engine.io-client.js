// node engine.io-client.js MODULE: any line of engine.io-client.
import { createRequire } from 'node:module';
import { answerLines, Arrivals, sayClosed } from './lines.js';

const { Socket } = createRequire(import.meta.url)(process.argv[2]);
const arrivals = new Arrivals();
/** Who waits for what by its first word, `echo` for what has none; in the order of asking. */
const waiting = { welcome: [], whoami: [], echo: [] };
let socket;
let ended;

answerLines({
  connect: async ({ url, transports }) => {
    socket = new Socket(url, { transports, path: '/engine.io/' });
    ended = new Promise((end) => socket.once('close', () => end()));
    ended.then(sayClosed);
    const failed = new Promise((_resolve, reject) => socket.once('error', reject));
    socket.on('message', onMessage);
    return { node: await Promise.race([next('welcome'), failed]) };
  },
  transport: () => socket.transport.name,
  echo: async ({ text, base64 }) => {
    const echoed = next('echo');
    socket.send(base64 === undefined ? text : Buffer.from(base64, 'base64'));
    const message = await echoed;
    if (typeof message === 'string') return { text: message };
    return { base64: Buffer.from(message).toString('base64') };
  },
  whoami: () => {
    socket.send('whoami');
    return next('whoami');
  },
  stream: ({ count }) => {
    const numbers = arrivals.next(count);
    socket.send(`stream:${count}`);
    return numbers;
  },
  leave: () => {
    socket.send('leave');
    return ended;
  },
  disconnect: () => {
    socket.close();
    return ended;
  },
});

function next(word) {
  return new Promise((resolve) => waiting[word].push(resolve));
}

function onMessage(message) {
  const [word, value] = typeof message === 'string' ? message.split(':', 2) : [];
  if (word === 'n') arrivals.add(Number(value));
  else if (value !== undefined && word in waiting) waiting[word].shift()?.(value);
  else waiting.echo.shift()?.(message);
}
