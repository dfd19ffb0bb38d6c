/**
 * `npm run demo`: two chat servers, the router in front of them, and what to try with them.
 *
 * Options: `--port 8099` of the router, `--servers 10015,10016`, `--restart 20` seconds until a
 * killed server comes back.
 */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const here = import.meta.dirname;
const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8099' },
    servers: { type: 'string', default: '10015,10016' },
    restart: { type: 'string', default: '20' },
  },
});
const routerPort = Number(options.port);
const restartMs = Number(options.restart) * 1000;

/** `{name, port, up, child, timer}` of each chat server. */
const servers = options.servers
  .split(',')
  .map((port, i) => ({ name: `chat-${i + 1}`, port: Number(port), up: false }));
let router;
let stopping = false;

async function main() {
  for (const port of [routerPort, ...servers.map((server) => server.port)]) await requireFree(port);
  await Promise.all(servers.map(startServer));
  await startRouter();
  console.log(welcome());
}

async function requireFree(port) {
  const probe = createServer().listen(port, '127.0.0.1');
  try {
    await once(probe, 'listening');
  } catch (error) {
    const reason = error.code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${error.code})`;
    const advice = 'free it, or choose others: npm run demo -- --port N --servers N,N';
    throw new Error(`port ${port} ${reason}; ${advice}`, { cause: error });
  }
  probe.close();
  await once(probe, 'close');
}

async function startServer(server) {
  const child = fork(join(here, 'server.js'), [server.name, String(server.port)]);
  server.child = child;
  child.on('message', (news) => {
    if (news.kind === 'push') {
      for (const other of servers) if (other !== server && other.up) other.child.send(news);
    }
  });
  child.once('exit', (_code, signal) => onServerExit(server, signal));
  const [news] = await once(child, 'message');
  if (news.kind === 'failed') throw new Error(`${server.name} cannot listen: ${news.reason}`);
  server.port = news.port;
  server.up = true;
  tellServers();
}

function onServerExit(server, signal) {
  server.up = false;
  if (stopping) return;
  const seconds = restartMs / 1000;
  console.log(
    `${server.name} is gone (${signal ?? 'ended'}); it comes back in ${seconds} seconds.`,
  );
  tellServers();
  server.timer = setTimeout(async () => {
    try {
      await startServer(server);
      console.log(`${server.name} is back; end it with  kill ${server.child.pid}`);
    } catch (error) {
      await stop(error);
    }
  }, restartMs);
}

/** Every server tells its clients which servers there are, so that the page can show them. */
function tellServers() {
  const news = servers.map(({ name, up, child }) => ({ name, up, pid: child.pid }));
  for (const { up, child } of servers) {
    if (up && child.connected) child.send({ kind: 'servers', servers: news });
  }
}

async function startRouter() {
  const bin = join(here, '../../bin/unsticky.js');
  const args = ['start', '-c', join(here, 'unsticky.yaml')];
  if (routerPort !== 8099) args.push('--listen', `127.0.0.1:${routerPort}`);
  if (servers.some(({ port }, i) => port !== [10015, 10016][i])) {
    for (const { port } of servers) args.push('--upstream', `http://127.0.0.1:${port}`);
  }
  router = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'inherit', 'inherit'] });
  router.once('exit', (code) => stopping || stop(new Error(`the router ended with ${code}`)));
  for (let attempt = 0; !(await accepts(routerPort)); attempt++) {
    if (attempt === 100) throw new Error(`the router does not listen on port ${routerPort}`);
    await wait(100);
  }
}

async function accepts(port) {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

function welcome() {
  const kills = servers
    .map(({ name, child }) => `           kill ${child.pid}   # ${name}`)
    .join('\n');
  return `
  A chat on two Socket.IO servers, behind one unsticky.

    Open   http://127.0.0.1:${routerPort}/

    Try    a second tab: it goes to the other server, and both see every message
           disconnect and connect: another server may answer
           ending a server; its tabs go on with the other one within two seconds:
${kills}

    Ctrl-C ends everything.
`;
}

/** Ends the servers first: their connections then end by themselves, and the router has none to wait for. */
async function stop(error) {
  if (stopping) return;
  stopping = true;
  if (error !== undefined) console.error(`demo: ${error.message}`);
  process.exitCode = error === undefined ? 0 : 1;
  for (const { timer } of servers) clearTimeout(timer);
  await Promise.all(servers.map(({ child }) => end(child)));
  await end(router);
}

async function end(child) {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill();
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await exited;
  clearTimeout(timer);
}

process.once('SIGINT', () => stop());
process.once('SIGTERM', () => stop());
await main().catch(stop);
