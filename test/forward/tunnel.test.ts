import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { UnstickyError } from '../../src/errors.ts';
import type { MessageListener } from '../../src/forward/first-messages.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { frame } from '../helpers/frame.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import type { RawUpstream } from '../helpers/raw-upstream.ts';
import {
  closed,
  startUpgradeRouter,
  SWITCHING,
  UPGRADE_REQUEST,
} from '../helpers/upgrade-router.ts';
import type { UpgradeRouter, UpgradeRouterOptions } from '../helpers/upgrade-router.ts';

/** A peer that leaves must be noticed within this time. */
const SEEN_MS = 50;

let router: UpgradeRouter | undefined;
let upstream: RawUpstream | undefined;
const clients: RawClient[] = [];
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  await router?.untilIdle();
  expect([router?.tunnels.running ?? 0, router?.tunnels.open ?? 0]).toEqual([0, 0]);
  const left = (upstream?.sockets ?? []).map((socket) => closed(socket));
  await withDeadline(Promise.all(left), 1_000, 'every connection to the upstream is closed');
  await router?.close();
  await upstream?.close();
  for (const cleanup of cleanups.splice(0)) await cleanup();
  router = undefined;
  upstream = undefined;
});

/** A raw upstream with a router in front of it. */
async function start(
  serve: (socket: net.Socket, index: number) => void,
  options?: UpgradeRouterOptions,
): Promise<{ router: UpgradeRouter; upstream: RawUpstream }> {
  upstream = await startRawUpstream(serve);
  router = await startUpgradeRouter([upstream.port], options);
  return { router, upstream };
}

function connect({ port }: { readonly port: number }): RawClient {
  const client = new RawClient(port);
  clients.push(client);
  return client;
}

/** Lets an upstream answer every request with these bytes. */
function answering(bytes: string | Buffer): (socket: net.Socket) => void {
  return (socket) => onRequestHead(socket, () => socket.write(bytes));
}

/** A client and the two ends of a tunnel that stands. */
async function openTunnel(options?: UpgradeRouterOptions): Promise<{
  readonly client: RawClient;
  readonly server: net.Socket;
  readonly router: UpgradeRouter;
}> {
  const subject = await start(
    (socket) => socket.once('data', () => socket.write(SWITCHING)),
    options,
  );
  const client = connect(subject.router).send(UPGRADE_REQUEST);
  await client.until(/\r\n\r\n/);
  const [server] = subject.upstream.sockets;
  if (server === undefined) throw new Error('upstream was not reached');
  return { client, server, router: subject.router };
}

async function closeOf(socket: net.Socket, label: string): Promise<number> {
  const startMs = performance.now();
  await withDeadline(closed(socket), 2_000, label);
  return performance.now() - startMs;
}

/** Waits until an upstream has got a whole request head. */
async function asked({ upstream: server }: { upstream: RawUpstream }): Promise<net.Socket> {
  const [socket] = server.sockets;
  if (socket === undefined) throw new Error('upstream was not reached');
  return socket;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function readAll(socket: net.Socket, length: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let sum = 0;
  const whole = new Promise<Buffer>((resolve) => {
    const onData = (chunk: Buffer): void => {
      chunks.push(chunk);
      sum += chunk.length;
      if (sum < length) return;
      socket.off('data', onData);
      resolve(Buffer.concat(chunks));
    };
    socket.on('data', onData);
  });
  return withDeadline(whole, 20_000, `${String(length)} bytes`);
}

async function sendInPieces(socket: net.Socket, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length;) {
    const size = Math.ceil(Math.random() ** 3 * 200_000);
    if (!socket.write(bytes.subarray(at, at + size))) await once(socket, 'drain');
    at += size;
  }
}

/** Reads up to the end of a header block; returns what came behind it. */
async function readHead(socket: net.Socket): Promise<{ head: string; rest: Buffer }> {
  let bytes = Buffer.alloc(0);
  for (;;) {
    const [chunk] = (await withDeadline(once(socket, 'data'), 2_000, 'a header')) as [Buffer];
    bytes = Buffer.concat([bytes, chunk]);
    const end = bytes.indexOf('\r\n\r\n');
    if (end === -1) continue;
    return { head: bytes.toString('latin1', 0, end + 4), rest: bytes.subarray(end + 4) };
  }
}

describe('an open tunnel', () => {
  test.each([1, 125, 65_536, 1_000_000, 8_388_608])(
    'carries %i random bytes in random pieces both ways at once, unchanged',
    async (size) => {
      const up = randomBytes(size);
      const down = randomBytes(size);
      const arrived: Promise<Buffer>[] = [];
      const subject = await start((socket) => {
        void readHead(socket).then(({ rest }) => {
          if (rest.length > 0) socket.unshift(rest);
          arrived.push(readAll(socket, size));
          // The first piece comes in the same packet as the 101.
          socket.write(Buffer.concat([Buffer.from(SWITCHING), down.subarray(0, 1_000)]));
          void sendInPieces(socket, down.subarray(1_000));
        });
      });
      const client = net.connect({ port: subject.router.port, host: '127.0.0.1' });
      // The first piece comes in the same packet as the request.
      client.write(Buffer.concat([Buffer.from(UPGRADE_REQUEST), up.subarray(0, 1_000)]));
      void sendInPieces(client, up.subarray(1_000));
      const { head, rest } = await readHead(client);
      if (rest.length > 0) client.unshift(rest);
      const received = await readAll(client, size);
      expect(head).toBe(SWITCHING);
      expect(sha256(received)).toBe(sha256(down));
      expect(sha256((await arrived[0]) ?? Buffer.alloc(0))).toBe(sha256(up));
      client.destroy();
      expect(await subject.router.outcome()).toMatchObject({
        kind: 'closed',
        bytesToUpstream: size,
        bytesToClient: size,
      });
    },
    30_000,
  );

  test('carries real WebSockets, compression and close codes included', async () => {
    const server = createServer();
    const sockets = new WebSocketServer({ server, perMessageDeflate: true });
    sockets.on('connection', (socket) => {
      socket.on('message', (text, isBinary) => socket.send(text, { binary: isBinary }));
      socket.on('close', (code, reason) => closes.push([code, reason.toString()]));
    });
    const closes: [number, string][] = [];
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    router = await startUpgradeRouter([(server.address() as AddressInfo).port]);

    const client = new WebSocket(`ws://127.0.0.1:${String(router.port)}/`);
    await once(client, 'open');
    expect(client.extensions).toContain('permessage-deflate');
    for (const message of ['hello', 'x'.repeat(200_000), randomBytes(70_000)]) {
      client.send(message);
      const [echo] = (await once(client, 'message')) as [Buffer];
      expect(echo.equals(Buffer.from(message))).toBe(true);
    }
    client.close(4001, 'enough');
    await once(client, 'close');
    expect(await router.outcome()).toMatchObject({ kind: 'closed', how: 'end' });
    expect(closes).toEqual([[4001, 'enough']]);
  });

  test('ends the upstream when the client ends', async () => {
    const { client, server, router: subject } = await openTunnel();
    client.socket.end();
    expect(await closeOf(server, 'upstream sees the end')).toBeLessThan(SEEN_MS);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'client', how: 'end' });
  });

  test('ends the client when the upstream ends, and says that it sent nothing', async () => {
    const { client, server, router: subject } = await openTunnel();
    server.end();
    expect(await closeOf(client.socket, 'client sees the end')).toBeLessThan(SEEN_MS);
    expect(await subject.outcome()).toMatchObject({
      kind: 'closed',
      by: 'upstream',
      how: 'end',
      bytesToClient: 0,
    });
  });

  test('ends the upstream when the client resets', async () => {
    const { client, server, router: subject } = await openTunnel();
    client.socket.resetAndDestroy();
    expect(await closeOf(server, 'upstream sees the reset')).toBeLessThan(SEEN_MS);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'client', how: 'reset' });
  });

  test('ends the client when the upstream resets', async () => {
    const { client, server, router: subject } = await openTunnel();
    server.resetAndDestroy();
    expect(await closeOf(client.socket, 'client sees the reset')).toBeLessThan(SEEN_MS);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'upstream', how: 'reset' });
  });

  test('delivers what the upstream sent before its end, however slow the client', async () => {
    const { client, server, router: subject } = await openTunnel();
    client.socket.pause();
    const bytes = Buffer.alloc(8_000_000, 'x');
    server.end(bytes);
    await withDeadline(once(client.socket, 'readable'), 2_000, 'bytes arrive');
    client.socket.resume();
    await client.untilClosed();
    expect(client.received.length - SWITCHING.length).toBe(bytes.length);
    expect(await subject.outcome()).toMatchObject({ by: 'upstream', bytesToClient: bytes.length });
  });

  test('cuts off an upstream that hangs when its client has left', async () => {
    const { client, server, router: subject } = await openTunnel();
    server.pause();
    server.removeAllListeners('end');
    client.socket.end('bytes that nobody reads');
    await subject.advance(6_000);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'client' });
    server.resume();
  });

  test('cuts off a client that does not close its side after the upstream has', async () => {
    const { client, server, router: subject } = await openTunnel();
    client.socket.removeAllListeners('end');
    const ended = once(client.socket, 'end');
    server.end();
    await withDeadline(ended, 2_000, 'client sees the end');
    expect(subject.tunnels.open).toBe(1);
    await subject.advance(6_000);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'upstream', how: 'end' });
  });

  test.each(['client', 'upstream'] as const)(
    'stops reading when the %s does not read, and cuts it off after 30 s',
    async (side) => {
      const { client, server, router: subject } = await openTunnel();
      const [reader, writer] =
        side === 'client' ? [client.socket, server] : [server, client.socket];
      reader.pause();
      // The kernel takes some megabytes; a tunnel that went on reading would take them all.
      for (let i = 0; i < 100; i++) writer.write(Buffer.alloc(1_000_000));
      while (subject.tunnels.open > 0) await subject.advance(31_000);
      const outcome = await subject.outcome();
      expect(outcome).toMatchObject({ kind: 'closed', by: side, how: 'stall' });
      const bytes = outcome.kind === 'closed' && outcome.bytesToClient + outcome.bytesToUpstream;
      expect(bytes).toBeLessThan(30_000_000);
      reader.resume();
    },
  );

  test('goes on when a slow reader reads again', async () => {
    const { client, server } = await openTunnel();
    client.socket.pause();
    const bytes = Buffer.alloc(12_000_000, 'x');
    server.write(bytes);
    const received = readText(client, SWITCHING.length + bytes.length);
    client.socket.resume();
    await received;
    server.end();
  });

  test('ends after silence in both directions, and not while one of them speaks', async () => {
    const { client, server, router: subject } = await openTunnel({ idleMs: 60_000 });
    for (let i = 0; i < 3; i++) {
      await subject.advance(40_000);
      (i % 2 === 0 ? server : client.socket).write('ping');
      await withDeadline(once(i % 2 === 0 ? client.socket : server, 'data'), 2_000, 'ping arrives');
    }
    expect(subject.tunnels.open).toBe(1);
    await subject.advance(70_000);
    expect(await subject.outcome()).toMatchObject({ kind: 'closed', by: 'router', how: 'idle' });
  });

  test('may get another idle limit while it is open', async () => {
    const { router: subject } = await openTunnel();
    const tunnel = await subject.tunnel();
    await subject.advance(10_000_000);
    expect(subject.tunnels.open).toBe(1);
    tunnel.idleMs = 1_000;
    expect(await subject.outcome()).toMatchObject({ how: 'idle' });
  });

  test('is cut off on both sides at once when its upstream is declared dead', async () => {
    const { client, server, router: subject } = await openTunnel();
    const [owner] = subject.upstreams;
    if (owner !== undefined) subject.tunnels.abort(owner);
    await Promise.all([closeOf(client.socket, 'client'), closeOf(server, 'upstream')]);
    expect(await subject.outcome()).toMatchObject({ by: 'router', how: 'UPSTREAM_DOWN' });
  });
});

describe('before the answer', () => {
  test('bytes of the client are kept and delivered after the 101', async () => {
    const early = randomBytes(60_000);
    let received: Promise<Buffer> | undefined;
    let answer: (() => void) | undefined;
    const ready = new Promise<void>((resolve) => {
      answer = resolve;
    });
    const subject = await start((socket) => {
      void readHead(socket).then(async ({ rest }) => {
        expect(rest).toHaveLength(0);
        await ready;
        received = readAll(socket, early.length + 5);
        socket.write(SWITCHING);
      });
    });
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    client.socket.write(early);
    answer?.();
    await client.until(/\r\n\r\n/);
    client.send('later');
    const bytes = (await received) ?? Buffer.alloc(0);
    expect(sha256(bytes)).toBe(sha256(Buffer.concat([early, Buffer.from('later')])));
  });

  test('more than 64 KiB from the client wait in the kernel, not in memory, and arrive too', async () => {
    const early = randomBytes(2_000_000);
    let received: Promise<Buffer> | undefined;
    const subject = await start((socket) => {
      void readHead(socket).then(() => {
        received = readAll(socket, early.length);
        socket.write(SWITCHING);
      });
    });
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    client.socket.write(early);
    await client.until(/\r\n\r\n/);
    expect(sha256((await received) ?? Buffer.alloc(0))).toBe(sha256(early));
  });

  test.each(['FIN', 'RST'] as const)(
    'a client that leaves by %s frees the upstream',
    async (how) => {
      let reached: ((socket: net.Socket) => void) | undefined;
      const waiting = new Promise<net.Socket>((resolve) => (reached = resolve));
      const subject = await start((socket) => onRequestHead(socket, () => reached?.(socket)));
      const client = connect(subject.router).send(UPGRADE_REQUEST);
      const server = await withDeadline(waiting, 2_000, 'upstream is asked');
      if (how === 'FIN') client.socket.end();
      else client.socket.resetAndDestroy();
      expect(await closeOf(server, 'upstream sees it')).toBeLessThan(SEEN_MS);
      expect(await subject.router.outcome()).toEqual({ kind: 'client-gone' });
    },
  );

  test('a client that has left is not forwarded at all', async () => {
    const subject = await start(answering(SWITCHING), {
      hold: (client, send) => {
        client.onGone = send;
      },
    });
    connect(subject.router).send(UPGRADE_REQUEST).socket.end();
    expect(await subject.router.outcome()).toEqual({ kind: 'client-gone' });
    expect(subject.upstream.sockets).toHaveLength(0);
  });

  test('an upstream that does not answer in time is given up: 504', async () => {
    const subject = await start((socket) => socket.resume(), { upgradeTimeoutMs: 40 });
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 504 /);
    expect(await subject.router.outcome()).toMatchObject({
      kind: 'failed',
      error: { code: 'UPSTREAM_TIMEOUT' },
      started: false,
      answering: false,
    });
  });

  test('an upstream that drips its header for ever is given up too', async () => {
    const subject = await start(
      (socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\n');
        const timer = setInterval(() => socket.write('x: y\r\n'), 5);
        socket.once('close', () => {
          clearInterval(timer);
        });
        socket.resume();
      },
      { upgradeTimeoutMs: 60 },
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 504 /);
    expect(await subject.router.outcome()).toMatchObject({ kind: 'failed', started: true });
  });

  test('an upstream that closes without an answer: 502, and nothing was started', async () => {
    const subject = await start((socket) => onRequestHead(socket, () => socket.end()));
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 502 /);
    expect(await subject.router.outcome()).toMatchObject({
      kind: 'failed',
      error: { code: 'UPSTREAM_RESET' },
      started: false,
    });
  });

  test('an upstream that dies in the middle of its header: 502, and an answer was started', async () => {
    const subject = await start((socket) =>
      onRequestHead(socket, () => socket.write('HTTP/1.1 101 Sw', () => socket.resetAndDestroy())),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 502 /);
    const outcome = await subject.router.outcome();
    expect(outcome).toMatchObject({
      kind: 'failed',
      error: { code: 'UPSTREAM_CUT' },
      started: true,
    });
  });

  test('a client whose upstream refuses the connection is sent to the next, with its early bytes', async () => {
    const dead = net.createServer().listen(0, '127.0.0.1');
    await once(dead, 'listening');
    const deadPort = (dead.address() as AddressInfo).port;
    dead.close();
    await once(dead, 'close');
    upstream = await startRawUpstream((socket) => {
      void readHead(socket).then(async ({ rest }) => {
        socket.write(SWITCHING);
        const bytes = rest.length > 0 ? rest : await readAll(socket, 5);
        socket.write(`got ${bytes.toString()}`);
      });
    });
    router = await startUpgradeRouter([deadPort, upstream.port]);
    const client = connect(router).send(`${UPGRADE_REQUEST}early`);
    await client.until(/got early/);
    expect(await router.outcome()).toMatchObject({
      kind: 'failed',
      error: { code: 'UPSTREAM_CONNECT' },
      started: false,
      answering: false,
    });
    expect(router.upstreams.map(({ available }) => available)).toEqual([false, true]);
  });

  test('everything that waits for an upstream is answered at once when it is declared dead', async () => {
    let reached: (() => void) | undefined;
    const waiting = new Promise<void>((resolve) => (reached = resolve));
    const subject = await start((socket) => onRequestHead(socket, () => reached?.()));
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    await withDeadline(waiting, 2_000, 'upstream is asked');
    const [owner] = subject.router.upstreams;
    const error = new UnstickyError('UPSTREAM_DOWN');
    if (owner !== undefined) subject.router.tunnels.abort(owner, error);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 502 /);
  });
});

describe('a 101', () => {
  test.each([
    ['does not name websocket', SWITCHING.replace('upgrade: websocket', 'upgrade: h2c')],
    ['has no Upgrade header', SWITCHING.replace('upgrade: websocket\r\n', '')],
    ['has no Sec-WebSocket-Accept', SWITCHING.replace(/SEC-.*\r\n/, '')],
    ['has a malformed header', SWITCHING.replace('upgrade:', 'up grade:')],
  ])('that %s is a bad answer: 502', async (_what, bytes) => {
    const subject = await start(answering(bytes));
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 502 /);
    expect(await subject.router.outcome()).toMatchObject({
      kind: 'failed',
      error: { code: 'UPSTREAM_BAD_ANSWER' },
      answering: false,
    });
  });

  test('is found behind interim answers and byte by byte', async () => {
    const subject = await start((socket) =>
      onRequestHead(socket, () => {
        socket.setNoDelay(true);
        for (const byte of `HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n${SWITCHING}0{}`) {
          socket.write(byte);
        }
      }),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    await client.until(/0\{\}$/);
    expect(client.received).toBe(`${SWITCHING}0{}`);
  });

  test('never comes over a connection that was used before', async () => {
    const subject = await start(answering(SWITCHING));
    for (let i = 1; i <= 3; i++) {
      const client = connect(subject.router).send(UPGRADE_REQUEST);
      await client.until(/\r\n\r\n/);
      client.close();
      await subject.router.outcome();
      expect(subject.upstream.sockets).toHaveLength(i);
    }
  });
});

describe('an answer that is no 101', () => {
  const REFUSAL = 'Session ID unknown';

  test('reaches the client intact, hop-by-hop fields apart', async () => {
    const subject = await start(
      answering(
        'HTTP/1.1 400 Not Today\r\nContent-Type: text/html\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n' +
          `Keep-Alive: timeout=5\r\nConnection: keep-alive\r\nContent-Length: 18\r\n\r\n${REFUSAL}`,
      ),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toBe(
      'HTTP/1.1 400 Not Today\r\nContent-Type: text/html\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\n' +
        `Content-Length: 18\r\nConnection: close\r\n\r\n${REFUSAL}`,
    );
    const outcome = await subject.router.outcome();
    expect(outcome).toMatchObject({ kind: 'refused', head: { status: 400 }, bytes: 18 });
    expect('sample' in outcome && outcome.sample?.toString()).toBe(REFUSAL);
  });

  test('is delimited by the close of the connection if it was chunked', async () => {
    const subject = await start(
      answering(
        'HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n' +
          '8\r\nSession \r\na\r\nID unknown\r\n0\r\nX-Trailer: y\r\n\r\n',
      ),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toBe(
      `HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n${REFUSAL}`,
    );
  });

  test('may end with its connection and have no body', async () => {
    const subject = await start((socket) =>
      onRequestHead(socket, () => socket.end('HTTP/1.1 401 Unauthorized\r\n\r\n')),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    expect(await client.untilClosed()).toBe(
      'HTTP/1.1 401 Unauthorized\r\nConnection: close\r\n\r\n',
    );
    const outcome = await subject.router.outcome();
    expect(outcome).toMatchObject({ kind: 'refused', bytes: 0, sample: Buffer.alloc(0) });
  });

  test('may be large, and a slow client gets all of it', async () => {
    const body = Buffer.alloc(5_000_000, 'x');
    const head = `HTTP/1.1 404 Not Found\r\nContent-Length: ${String(body.length)}\r\n\r\n`;
    const subject = await start((socket) =>
      onRequestHead(socket, () => {
        socket.write(head);
        socket.write(body);
      }),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    client.socket.pause();
    setImmediate(() => client.socket.resume());
    const received = await client.untilClosed();
    expect(received.length - received.indexOf('\r\n\r\n') - 4).toBe(body.length);
    expect(await subject.router.outcome()).toMatchObject({ bytes: body.length, sample: undefined });
  });

  test('is cut off at the client when the upstream dies in the middle of it', async () => {
    const subject = await start((socket) =>
      onRequestHead(socket, () => {
        socket.write('HTTP/1.1 400 Bad Request\r\nContent-Length: 18\r\n\r\nSess', () =>
          socket.resetAndDestroy(),
        );
      }),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    await client.untilClosed();
    expect(await subject.router.outcome()).toMatchObject({
      kind: 'failed',
      started: true,
      answering: true,
    });
  });

  test('frees the upstream when the client leaves in the middle of it', async () => {
    const subject = await start(
      answering('HTTP/1.1 400 Bad Request\r\nContent-Length: 18\r\n\r\nSess'),
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    await client.until(/Sess/);
    const server = await asked(subject);
    client.close();
    expect(await closeOf(server, 'upstream sees it')).toBeLessThan(SEEN_MS);
    expect(await subject.router.outcome()).toEqual({ kind: 'client-gone' });
  });
});

describe('observation', () => {
  function collect(wanted: number): { listener: MessageListener; heard: Promise<string[]> } {
    const texts: string[] = [];
    let resolve: ((texts: string[]) => void) | undefined;
    const whole = new Promise<string[]>((settle) => (resolve = settle));
    const listener: MessageListener = {
      onText: (text) => {
        texts.push(text);
        if (texts.length < wanted) return 'more';
        resolve?.(texts);
        return 'enough';
      },
    };
    return { listener, heard: withDeadline(whole, 2_000, `${String(wanted)} messages`) };
  }

  test('reads the open packet that came with the 101 and the client messages up to 5', async () => {
    const open = '0{"sid":"abc"}';
    const fromUpstream = collect(1);
    const fromClient = collect(2);
    const subject = await start(
      answering(Buffer.concat([Buffer.from(SWITCHING), frame(open), frame('40')])),
      { observe: { upstream: fromUpstream.listener, client: fromClient.listener } },
    );
    const client = connect(subject.router).send(UPGRADE_REQUEST);
    await client.until(/40$/);
    client.socket.write(frame('2probe', { masked: true }));
    client.socket.write(frame('5', { masked: true }));
    expect(await fromUpstream.heard).toEqual([open]);
    expect(await fromClient.heard).toEqual(['2probe', '5']);
  });

  test('reads the compressed open packet of a real server, and the client gets it too', async () => {
    const server = createServer();
    const sockets = new WebSocketServer({ server, perMessageDeflate: { threshold: 0 } });
    sockets.on('connection', (socket) => socket.send('0{"sid":"abc"}'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    cleanups.push(() => server.close());
    const fromUpstream = collect(1);
    router = await startUpgradeRouter([(server.address() as AddressInfo).port], {
      observe: { upstream: fromUpstream.listener },
    });
    const client = new WebSocket(`ws://127.0.0.1:${String(router.port)}/`);
    const [message] = (await once(client, 'message')) as [Buffer];
    expect(message.toString()).toBe('0{"sid":"abc"}');
    expect(await fromUpstream.heard).toEqual(['0{"sid":"abc"}']);
    client.terminate();
  });
});

async function readText(client: RawClient, length: number): Promise<void> {
  const whole = new Promise<void>((resolve) => {
    const look = (): void => {
      if (client.received.length < length) return;
      client.socket.off('data', look);
      resolve();
    };
    client.socket.on('data', look);
    look();
  });
  await withDeadline(whole, 10_000, `${String(length)} bytes at the client`);
}
