import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { UpstreamConfig } from '../../src/config/config.ts';
import type { RelayOutcome, RequestBody } from '../../src/forward/relay.ts';
import { Relays } from '../../src/forward/relays.ts';
import { Upstream } from '../../src/upstreams/upstream.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import type { RawUpstream } from '../helpers/raw-upstream.ts';
import { recordingLog } from '../helpers/recording-log.ts';

const OK = 'HTTP/1.1 200 OK\r\n';
/** How soon an upstream must learn that its client is gone, in milliseconds. */
const SOON_MS = 50;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

interface Front {
  readonly port: number;
  readonly relays: Relays;
  readonly upstream: Upstream;
  readonly outcomes: RelayOutcome[];
  /** Resolves with the next outcome. */
  readonly nextOutcome: () => Promise<RelayOutcome>;
}

async function upstreamThat(
  serve: (socket: net.Socket, index: number) => void,
): Promise<RawUpstream> {
  const raw = await startRawUpstream(serve);
  closers.push(() => raw.close());
  return raw;
}

interface Special {
  readonly tls?: boolean;
  readonly bodyLimitBytes?: number;
  readonly answerMs?: number;
}

/** A server that does nothing but relay to one port. */
async function startFront(port: number, special: Special = {}): Promise<Front> {
  const { tls = false, bodyLimitBytes = 1e9, answerMs = 10_000 } = special;
  const config: UpstreamConfig = {
    id: 'u',
    url: '',
    host: '127.0.0.1',
    port,
    tls,
    weight: 1,
  };
  const { log } = recordingLog();
  const now = (): number => performance.now();
  const upstream = new Upstream({ config, log, now, random: Math.random });
  const relays = new Relays({ connectTimeoutMs: 1000, now });
  const outcomes: RelayOutcome[] = [];
  const waiting: ((outcome: RelayOutcome) => void)[] = [];
  const server = http.createServer((req, res) => {
    relays.forward({
      req,
      res,
      upstream,
      head: (connection) =>
        `${req.method ?? ''} ${req.url ?? ''} HTTP/1.1\r\nHost: x\r\n${bodyHeader(req)}Connection: ${connection}\r\n\r\n`,
      body: bodyOf(req),
      bodyLimitBytes,
      answerMs,
      mode: 'stream',
      onDone: (outcome) => {
        outcomes.push(outcome);
        waiting.shift()?.(outcome);
        if (outcome.kind !== 'failed' || outcome.answering) return;
        res.writeHead(outcome.error.status).end(outcome.error.code);
        req.resume();
      },
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(async () => {
    relays.destroy();
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  });
  const nextOutcome = async (): Promise<RelayOutcome> =>
    withDeadline(new Promise((resolve) => waiting.push(resolve)), 5000, 'the relay ends');
  return { port: (server.address() as AddressInfo).port, relays, upstream, outcomes, nextOutcome };
}

function bodyOf(req: http.IncomingMessage): RequestBody {
  if (req.headers['transfer-encoding'] !== undefined) return 'chunked';
  return req.headers['content-length'] === undefined ? 'none' : 'length';
}

function bodyHeader(req: http.IncomingMessage): string {
  const length = req.headers['content-length'];
  if (length !== undefined) return `Content-Length: ${length}\r\n`;
  return bodyOf(req) === 'chunked' ? 'Transfer-Encoding: chunked\r\n' : '';
}

interface Reply {
  readonly status: number;
  readonly reason: string;
  readonly rawHeaders: readonly string[];
  readonly body: string;
}

async function ask(port: number, options: http.RequestOptions = {}, body?: string): Promise<Reply> {
  const request = http.request({ host: '127.0.0.1', port, agent: false, ...options });
  request.end(body);
  return withDeadline(
    new Promise((resolve, reject) => {
      request.on('error', reject);
      request.on('response', (incoming) => {
        let text = '';
        incoming.setEncoding('latin1').on('data', (chunk: string) => (text += chunk));
        incoming.on('error', reject);
        incoming.on('end', () => {
          const { statusCode: status = 0, statusMessage: reason = '', rawHeaders } = incoming;
          resolve({ status, reason, rawHeaders, body: text });
        });
      });
    }),
    5000,
    'an answer comes',
  );
}

async function millisecondsUntil(event: Promise<unknown>): Promise<number> {
  const start = performance.now();
  await withDeadline(event, 3000, 'the other side notices');
  return performance.now() - start;
}

describe('answers reach the client as the upstream framed them', () => {
  const cases: [name: string, wire: string, body: string, method: string][] = [
    ['by length', `${OK}Content-Length: 5\r\n\r\nhello`, 'hello', 'GET'],
    [
      'in chunks, trailers dropped',
      `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX: y\r\n\r\n`,
      'hello',
      'GET',
    ],
    ['until the connection closes', `${OK}\r\nhello`, 'hello', 'GET'],
    [
      'after interim answers',
      `HTTP/1.1 103 Early Hints\r\n\r\n${OK}Content-Length: 5\r\n\r\nhello`,
      'hello',
      'GET',
    ],
    ['without body to HEAD', `${OK}Content-Length: 5\r\n\r\n`, '', 'HEAD'],
    ['without body by 204', 'HTTP/1.1 204 Nothing\r\n\r\n', '', 'GET'],
    ['without body by 304', 'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', '', 'GET'],
  ];
  test.each(cases)('%s', async (_name, wire, body, method) => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => socket.end(wire));
    });
    const front = await startFront(raw.port);
    const reply = await ask(front.port, { method });
    const status = /^HTTP\/1\.1 (?!1)(\d+) (.*)$/m.exec(wire.replaceAll('\r', ''));
    expect(reply).toMatchObject({ status: Number(status?.[1]), reason: status?.[2], body });
    expect(reply.rawHeaders.join().toLowerCase()).not.toContain('x,y');
  });

  test('byte by byte, with repeated headers in their order', async () => {
    const wire = `${OK}Set-Cookie: a=1\r\nX-Y: z\r\nset-cookie: b=2\r\nContent-Length: 3\r\n\r\nabc`;
    const raw = await upstreamThat((socket) => {
      socket.setNoDelay(true);
      onRequestHead(socket, () => {
        const next = (at: number): void => {
          if (at < wire.length) socket.write(wire.charAt(at), () => setImmediate(next, at + 1));
        };
        next(0);
      });
    });
    const front = await startFront(raw.port);
    const reply = await ask(front.port);
    expect(reply.body).toBe('abc');
    expect(reply.rawHeaders.slice(0, 8)).toEqual([
      'Set-Cookie',
      'a=1',
      'X-Y',
      'z',
      'set-cookie',
      'b=2',
      'Content-Length',
      '3',
    ]);
  });

  test.each([
    ['a status below 100', 'HTTP/1.1 099 Odd\r\n\r\n'],
    ['a control byte in the reason', 'HTTP/1.1 200 O\x07K\r\nContent-Length: 0\r\n\r\n'],
    ['an unsolicited 101', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n'],
    ['a length beside chunks', `${OK}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ])('%s is a 502 and the router lives on', async (_name, wire) => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => socket.write(wire));
    });
    const front = await startFront(raw.port);
    expect(await ask(front.port)).toMatchObject({ status: 502, body: 'UPSTREAM_BAD_ANSWER' });
    expect(await ask(front.port)).toMatchObject({ status: 502 });
    expect(front.relays.running).toBe(0);
  });
});

describe('connections to the upstream', () => {
  const answer = `${OK}Content-Length: 2\r\n\r\nok`;

  test('are used again once the upstream has shown that it keeps them', async () => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => socket.write(answer));
    });
    const front = await startFront(raw.port);
    let asked = 0;
    const deadline = performance.now() + 5000;
    while (raw.sockets.length === asked && performance.now() < deadline) {
      asked += 1;
      expect((await ask(front.port)).body).toBe('ok');
    }
    expect(raw.sockets.length).toBeLessThan(asked);
  });

  test('are never used again by a server that says keep-alive and closes', async () => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => {
        socket.write(`${OK}connection: keep-alive\r\nContent-Length: 2\r\n\r\nok`, () => {
          setTimeout(() => socket.end(), 2);
        });
      });
    });
    const front = await startFront(raw.port);
    for (let i = 0; i < 60; i += 1) {
      expect(
        await ask(front.port, { method: i % 2 ? 'POST' : 'GET' }, i % 2 ? 'x' : undefined),
      ).toMatchObject({ status: 200 });
    }
    expect(raw.sockets.length).toBe(60);
  });

  /** Keeps connections, but dies on the second request of the one it is told to. */
  async function dyingOnReuse(): Promise<{ raw: RawUpstream; front: Front; heads: string[] }> {
    const heads: string[] = [];
    const raw = await upstreamThat((socket) => {
      let requests = 0;
      onRequestHead(socket, (head) => {
        heads.push(head);
        requests += 1;
        if (requests === 1) socket.write(answer);
        else socket.destroy();
      });
    });
    const front = await startFront(raw.port);
    return { raw, front, heads };
  }

  async function askUntilReused(
    method: string,
  ): Promise<{ last: Reply; heads: string[]; sockets: number }> {
    const { raw, front, heads } = await dyingOnReuse();
    const body = method === 'POST' ? 'x' : undefined;
    for (;;) {
      const before = { heads: heads.length, sockets: raw.sockets.length };
      const last = await ask(front.port, { method }, body);
      const newHeads = heads.slice(before.heads);
      const sockets = raw.sockets.length - before.sockets;
      if (newHeads.length !== sockets) return { last, heads: newHeads, sockets };
    }
  }

  test('that die at their second use cost a poll nothing: it is asked once more', async () => {
    const { last, heads, sockets } = await askUntilReused('GET');
    expect(last).toMatchObject({ status: 200, body: 'ok' });
    expect({ heads: heads.length, sockets }).toEqual({ heads: 2, sockets: 1 });
  });

  test('that die at their second use cost a POST a 502: it could be a message sent twice', async () => {
    const { last, heads, sockets } = await askUntilReused('POST');
    expect(last).toMatchObject({ status: 502, body: 'UPSTREAM_RESET' });
    expect({ heads: heads.length, sockets }).toEqual({ heads: 1, sockets: 0 });
  });

  test('are no longer used again when the upstream begins to close them, by posts alone', async () => {
    let closes = false;
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => {
        socket.write(answer, () => {
          if (closes) setTimeout(() => socket.end(), 1);
        });
      });
    });
    const front = await startFront(raw.port);
    const post = async (): Promise<number> =>
      (await ask(front.port, { method: 'POST' }, 'x')).status;
    for (let before = -1; before !== raw.sockets.length;) {
      before = raw.sockets.length;
      expect(await post()).toBe(200);
    }
    closes = true;
    const statuses: number[] = [];
    for (let i = 0; i < 40; i += 1) statuses.push(await post());
    // The first one or two may meet a connection that is just being closed.
    expect(statuses.slice(3)).toEqual(Array.from({ length: 37 }, () => 200));
  });

  test('that bring more than was asked for are closed, so that no client gets another one’s answer', async () => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, (head) => {
        const path = head.split(' ')[1] ?? '';
        socket.write(
          `${OK}Content-Length: ${String(path.length)}\r\n\r\n${path}${OK}Content-Length: 6\r\n\r\npoison`,
        );
      });
    });
    const front = await startFront(raw.port);
    for (let i = 0; i < 20; i += 1) {
      expect((await ask(front.port, { path: `/${String(i)}` })).body).toBe(`/${String(i)}`);
    }
    expect(raw.sockets.length).toBe(20);
  });

  test('that cannot be opened are a 502 and eject the upstream', async () => {
    const raw = await upstreamThat(() => undefined);
    const { port } = raw;
    await closers.pop()?.();
    const front = await startFront(port);
    expect(await ask(front.port)).toMatchObject({ status: 502, body: 'UPSTREAM_CONNECT' });
    expect(front.upstream.available).toBe(false);
  });
});

describe('whoever leaves is missed at once', () => {
  test.each([
    'while the upstream thinks',
    'in the middle of the answer',
    'in the middle of the request',
  ])('client, %s', async (phase) => {
    let begun: (socket: net.Socket) => void = () => undefined;
    const reached = new Promise<net.Socket>((resolve) => (begun = resolve));
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => {
        if (phase === 'in the middle of the answer') {
          socket.write(`${OK}Content-Length: 100\r\n\r\nhalf`);
        }
        begun(socket);
      });
    });
    const front = await startFront(raw.port);
    const upload = phase === 'in the middle of the request';
    const request = http.request({
      port: front.port,
      host: '127.0.0.1',
      agent: false,
      method: upload ? 'POST' : 'GET',
      headers: upload ? { 'content-length': 1000 } : {},
    });
    request.on('error', () => undefined);
    if (upload) request.write('half');
    else request.end();
    const socket = await withDeadline(reached, 3000, 'the request arrives');
    if (phase === 'in the middle of the answer') await once(request, 'response');
    const outcome = front.nextOutcome();
    const closed = once(socket, 'close');
    request.destroy();
    expect(await millisecondsUntil(closed)).toBeLessThan(SOON_MS);
    expect(await outcome).toEqual({ kind: 'client-gone' });
    expect(raw.open()).toBe(0);
  });

  test('client, while the connection to the upstream is being opened', async () => {
    // TCP stands, TLS never will: the connection is being opened for as long as we like.
    let accepted: (socket: net.Socket) => void = () => undefined;
    const reached = new Promise<net.Socket>((resolve) => (accepted = resolve));
    const raw = await upstreamThat((socket) => {
      socket.resume();
      accepted(socket);
    });
    const front = await startFront(raw.port, { tls: true });
    const request = http.get({ port: front.port, host: '127.0.0.1', agent: false });
    request.on('error', () => undefined);
    const socket = await withDeadline(reached, 3000, 'the connection is begun');
    const outcome = front.nextOutcome();
    const closed = once(socket, 'close');
    request.destroy();
    expect(await millisecondsUntil(closed)).toBeLessThan(SOON_MS);
    expect(await outcome).toEqual({ kind: 'client-gone' });
  });

  test('upstream, in the middle of its answer: the client’s answer is cut', async () => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => socket.write(`${OK}Content-Length: 100\r\n\r\nhalf`));
    });
    const front = await startFront(raw.port);
    const request = http.get({ port: front.port, host: '127.0.0.1', agent: false });
    const [incoming] = (await once(request, 'response')) as [http.IncomingMessage];
    await once(incoming, 'data');
    incoming.resume();
    incoming.on('error', () => undefined);
    const cut = new Promise((resolve) => incoming.once('close', resolve));
    raw.sockets[0]?.resetAndDestroy();
    expect(await millisecondsUntil(cut)).toBeLessThan(SOON_MS);
    expect(incoming.complete).toBe(false);
  });

  test('upstream, declared dead while a poll is held: the client gets its answer now', async () => {
    const raw = await upstreamThat(() => undefined);
    const front = await startFront(raw.port);
    const reply = ask(front.port);
    await expect.poll(() => raw.sockets.length, { interval: 1 }).toBe(1);
    front.relays.abort(front.upstream);
    expect(await reply).toMatchObject({ status: 502, body: 'UPSTREAM_DOWN' });
  });

  test('upstream, silent for longer than it may be: 504', async () => {
    const raw = await upstreamThat((socket) => socket.resume());
    const front = await startFront(raw.port, { answerMs: 200 });
    expect(await ask(front.port)).toMatchObject({ status: 504, body: 'UPSTREAM_TIMEOUT' });
    await expect.poll(() => raw.open(), { interval: 5 }).toBe(0);
  });
});

describe('bodies', () => {
  test.each(['length', 'chunked'])('of requests arrive whole with %s framing', async (framing) => {
    const body = 'x'.repeat(3_000_000);
    const backend = http.createServer((req, res) => {
      let bytes = 0;
      req.on('data', (chunk: Buffer) => (bytes += chunk.length));
      req.on('end', () =>
        res.end(
          `${String(bytes)} ${String(req.headers['content-length'])} ${String(req.headers['transfer-encoding'])}`,
        ),
      );
    });
    backend.listen(0, '127.0.0.1');
    await once(backend, 'listening');
    closers.push(async () => {
      backend.closeAllConnections();
      backend.close();
      await once(backend, 'close');
    });
    const front = await startFront((backend.address() as AddressInfo).port);
    const headers =
      framing === 'length' ? { 'content-length': body.length } : { 'transfer-encoding': 'chunked' };
    const reply = await ask(front.port, { method: 'POST', headers }, body);
    expect(reply.body).toBe(
      framing === 'length' ? '3000000 3000000 undefined' : '3000000 undefined chunked',
    );
  });

  test('above the limit are refused while they arrive, and the upstream’s side is closed', async () => {
    const raw = await upstreamThat((socket) => socket.resume());
    const front = await startFront(raw.port, { bodyLimitBytes: 100_000 });
    const reply = await ask(
      front.port,
      { method: 'POST', headers: { 'transfer-encoding': 'chunked' } },
      'x'.repeat(300_000),
    );
    expect(reply).toMatchObject({ status: 413, body: 'BODY_TOO_LARGE' });
    await expect.poll(() => raw.open(), { interval: 5 }).toBe(0);
  });

  test('that the upstream refuses early do not keep its answer from the client', async () => {
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () =>
        socket.end('HTTP/1.1 413 Too Large\r\nContent-Length: 4\r\n\r\nbig!'),
      );
    });
    const front = await startFront(raw.port);
    const request = http.request({
      port: front.port,
      host: '127.0.0.1',
      agent: false,
      method: 'POST',
      headers: { 'content-length': 50_000_000 },
    });
    request.on('error', () => undefined);
    request.write('x'.repeat(100_000));
    const [incoming] = (await withDeadline(
      once(request, 'response'),
      3000,
      'the early answer',
    )) as [http.IncomingMessage];
    expect(incoming.statusCode).toBe(413);
    request.destroy();
  });

  test('are not read from the upstream faster than the client takes them', async () => {
    const total = 64 * 1024 * 1024;
    let sent = 0;
    const raw = await upstreamThat((socket) => {
      onRequestHead(socket, () => {
        socket.write(`${OK}Content-Length: ${String(total)}\r\n\r\n`);
        const piece = Buffer.alloc(64 * 1024);
        const pump = (): void => {
          while (sent < total) {
            sent += piece.length;
            if (!socket.write(piece)) {
              socket.once('drain', pump);
              return;
            }
          }
        };
        pump();
      });
    });
    const front = await startFront(raw.port);
    const client = net.connect({ port: front.port, host: '127.0.0.1' });
    closers.push(async () => {
      client.destroy();
      return Promise.resolve();
    });
    client.pause();
    client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    let last = -1;
    await expect
      .poll(
        () => {
          const still = sent > 0 && sent === last;
          last = sent;
          return still;
        },
        { interval: 100, timeout: 5000 },
      )
      .toBe(true);
    expect(sent).toBeLessThan(total / 2);
    let received = 0;
    client.on('data', (chunk) => (received += chunk.length));
    client.resume();
    await expect.poll(() => received > total, { timeout: 15_000 }).toBe(true);
  });
});
