import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import type { ErrorCode } from '../src/errors.ts';
import { hardenServer, serverOptions } from '../src/hardening.ts';
import { withDeadline } from './helpers/deadline.ts';
import { RawClient } from './helpers/raw-client.ts';

const TIMEOUTS = {
  connectMs: 1000,
  handshakeMs: 1000,
  upstreamMs: 1000,
  upgradeMs: 1000,
  clientHeaderMs: 300,
  clientRequestMs: 600,
  keepAliveMs: 5000,
  shutdownMs: 1000,
};

interface Edge {
  readonly server: Server;
  readonly port: number;
  readonly inFlight: ServerResponse[];
  readonly upgrades: Duplex[];
  readonly refused: ErrorCode[];
  most: number;
}

const open: Edge[] = [];

/** A hardened server whose requests are held until a test answers them. */
async function startEdge(
  onRequest?: (req: IncomingMessage, res: ServerResponse) => void,
): Promise<Edge> {
  const options = { ...serverOptions({ timeouts: TIMEOUTS }), connectionsCheckingInterval: 50 };
  const server = createServer(options);
  const inFlight: ServerResponse[] = [];
  const upgrades: Duplex[] = [];
  const refused: ErrorCode[] = [];
  hardenServer(server, {
    onRequest: (req, res) => {
      inFlight.push(res);
      const leave = (): void =>
        void inFlight.splice(0, inFlight.length, ...inFlight.filter((r) => r !== res));
      res.once('finish', leave).once('close', leave);
      edge.most = Math.max(edge.most, inFlight.length);
      onRequest?.(req, res);
      server.emit('held');
    },
    onUpgrade: (_req, socket) => {
      upgrades.push(socket);
      server.emit('held');
    },
    onRefused: (code) => refused.push(code),
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address() as AddressInfo;
  const edge: Edge = { server, port, inFlight, upgrades, refused, most: 0 };
  open.push(edge);
  return edge;
}

afterEach(async () => {
  for (const { server, upgrades } of open.splice(0)) {
    for (const socket of upgrades) socket.destroy();
    server.closeAllConnections();
    await withDeadline(new Promise((done) => server.close(done)), 5000, 'server closed');
  }
});

async function held(edge: Edge): Promise<void> {
  const event = new Promise<void>((resolve) => edge.server.once('held', () => resolve()));
  await withDeadline(event, 5000, 'request reached the handler');
}

/** Waits until the parser has read what is sent, which need not reach the handlers. */
async function parsed(edge: Edge, event: 'request' | 'upgrade', send: () => void): Promise<void> {
  const seen = new Promise<void>((resolve) => edge.server.once(event, () => resolve()));
  send();
  await withDeadline(seen, 1000, `${event} parsed`);
}

const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';
const UPGRADE = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

describe('what cannot be parsed', () => {
  test.each<[string, string, number, ErrorCode]>([
    ['garbage', 'hello\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['a space before a colon', 'GET / HTTP/1.1\r\nHost : a\r\n\r\n', 400, 'MALFORMED_REQUEST'],
    ['an unknown HTTP version', 'GET / HTTP/3.7\r\nHost: a\r\n\r\n', 505, 'HTTP_VERSION'],
    [
      'a header of 20 KB',
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      431,
      'HEADERS_TOO_LARGE',
    ],
    [
      'a chunk extension of 20 KB',
      `POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;${'x'.repeat(20_000)}\r\n`,
      413,
      'BODY_TOO_LARGE',
    ],
    [
      'Content-Length beside chunks',
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      400,
      'MALFORMED_REQUEST',
    ],
  ])('%s is answered and the connection closed', async (_name, bytes, status, code) => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(bytes);
    const answer = await client.untilClosed();
    expect(answer).toMatch(
      new RegExp(`^HTTP/1\\.1 ${String(status)} \\S[^]*\\r\\nConnection: close\\r\\n`),
    );
    expect(edge.refused).toEqual([code]);
  });

  test('garbage behind an answered request gets an answer of its own', async () => {
    const edge = await startEdge((_req, res) => res.end('ok'));
    const client = new RawClient(edge.port).send(GET);
    await client.until(/ok/);
    client.send('hello\r\n\r\n');
    await client.untilClosed();
    expect(client.statuses).toEqual([200, 400]);
  });

  test('garbage behind an unanswered request closes without a word', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(GET);
    await held(edge);
    client.send('hello\r\n\r\n');
    expect(await client.untilClosed()).toBe('');
    expect(edge.refused).toEqual(['MALFORMED_REQUEST']);
  });

  test('what comes behind a last request is not read, and its answer arrives', async () => {
    const edge = await startEdge();
    const last = GET.replace('Host', 'Connection: close\r\nHost');
    const client = new RawClient(edge.port).send(last + GET);
    await held(edge);
    client.send('garbage');
    edge.inFlight[0]?.end('ok');
    expect(await client.untilClosed()).toMatch(/ok$/);
    expect(client.statuses).toEqual([200]);
    expect(edge.refused).toEqual([]);
  });

  test('a broken chunk is answered if the answer has not begun, and else cuts it off', async () => {
    const chunked = 'POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n';
    const silent = await startEdge();
    const first = new RawClient(silent.port).send(chunked);
    await held(silent);
    expect(await first.send('zz\r\n').untilClosed()).toMatch(/^HTTP\/1\.1 400 /);

    const early = await startEdge((_req, res) => res.write('begun'));
    const second = new RawClient(early.port).send(chunked);
    await second.until(/begun/);
    await second.send('zz\r\n').untilClosed();
    expect(second.statuses).toEqual([200]);
  });

  test('a client that sends on and never reads the refusal is closed all the same', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port);
    client.socket.pause();
    client.send('hello\r\n\r\n');
    const flood = setInterval(() => client.send('more of it\r\n\r\n'), 20);
    await withDeadline(
      new Promise((done) => edge.server.on('connection', (socket) => socket.on('close', done))),
      8000,
      'server closed the connection',
    );
    clearInterval(flood);
    client.close();
    expect(edge.refused).toEqual(['MALFORMED_REQUEST']);
  });

  test('a client that resets the connection is no refusal and does no harm', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(GET);
    await held(edge);
    const gone = new Promise((done) => edge.inFlight[0]?.once('close', done));
    client.socket.resetAndDestroy();
    await withDeadline(gone, 1000, 'response closed');
    expect(edge.refused).toEqual([]);
  });
});

describe('slow clients', () => {
  test.each([
    ['silence', ''],
    ['half a header', 'GET / HTTP/1.1\r\nHo'],
    ['half a body', 'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf'],
  ])('%s is answered 408 in time', async (_name, bytes) => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(bytes);
    expect(await client.untilClosed(3000)).toMatch(/^HTTP\/1\.1 408 /);
    expect(edge.refused).toEqual(['REQUEST_TIMEOUT']);
  });

  test('a header that drips in is cut off', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send('GET / HTTP/1.1\r\n');
    const drip = setInterval(() => client.send('a: b\r\n'), 40);
    expect(await client.untilClosed(3000)).toMatch(/^HTTP\/1\.1 408 /);
    clearInterval(drip);
  });

  test('a complete request waits for its answer longer than any of these limits', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(GET);
    await held(edge);
    // A second connection that runs into both limits after the first has shows that time passed.
    const other = new RawClient(edge.port).send(
      'POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n',
    );
    await other.untilClosed(3000);
    edge.inFlight[0]?.end('late');
    expect(await client.until(/late/)).toMatch(/^HTTP\/1\.1 200 /);
    client.close();
  });
});

describe('pipelining', () => {
  test('of 500 requests at once one is in flight, and the connection is closed', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(GET.repeat(500));
    expect(await client.untilClosed()).toBe('');
    expect(edge.most).toBe(1);
    expect(edge.refused).toEqual(['PIPELINED']);
  });

  test('requests one after the other all pass on one connection', async () => {
    const edge = await startEdge((_req, res) => res.end('ok'));
    const client = new RawClient(edge.port);
    for (let i = 1; i <= 20; i += 1) {
      client.send(GET);
      await client.untilAnswers(i);
    }
    client.close();
    expect(edge.refused).toEqual([]);
  });

  test('behind an answer that is under way a request waits, and a second one is too many', async () => {
    const edge = await startEdge((_req, res) => res.write('begun.'));
    const client = new RawClient(edge.port).send(GET);
    await client.until(/begun/);
    await parsed(edge, 'request', () => client.send(GET));
    expect(edge.inFlight).toHaveLength(1);
    edge.inFlight[0]?.end('ended.');
    await client.until(/begun[^]*ended[^]*begun/);
    client.send(GET + GET);
    await client.untilClosed();
    expect(edge.most).toBe(1);
    expect(edge.refused).toEqual(['PIPELINED']);
  });

  test('an upgrade behind an answer that is under way ends the connection', async () => {
    const edge = await startEdge((_req, res) => res.write('begun.'));
    const client = new RawClient(edge.port).send(GET);
    await client.until(/begun/);
    client.send(UPGRADE);
    await client.untilClosed();
    expect(edge.upgrades).toEqual([]);
    expect(edge.refused).toEqual(['PIPELINED']);
  });

  test('an upgrade right behind a whole answer passes', async () => {
    const edge = await startEdge((_req, res) => res.end('whole'));
    const client = new RawClient(edge.port).send(GET);
    await client.until(/whole/);
    const passed = held(edge);
    client.send(UPGRADE);
    await passed;
    edge.upgrades[0]?.end('upgraded');
    expect(await client.untilClosed()).toMatch(/whole[^]*upgraded$/);
  });

  test('a body behind an answer that is under way ends the connection', async () => {
    const edge = await startEdge((_req, res) => res.write('begun.'));
    const client = new RawClient(edge.port).send(GET);
    await client.until(/begun/);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\npart');
    await client.untilClosed();
    expect(edge.refused).toEqual(['PIPELINED']);
  });

  test('what waits behind the last answer of a connection is dropped with it', async () => {
    const edge = await startEdge((_req, res) =>
      res.setHeader('Connection', 'close').write('begun.'),
    );
    const client = new RawClient(edge.port).send(GET);
    await client.until(/begun/);
    await parsed(edge, 'request', () => client.send(GET));
    edge.inFlight[0]?.end('ended.');
    expect(await client.untilClosed()).toMatch(/ended[^]*$/);
    expect(client.statuses).toEqual([200]);
    expect(edge.inFlight).toEqual([]);
  });

  test('an upgrade behind an unanswered request closes the connection', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send(GET);
    await held(edge);
    client.send(UPGRADE);
    expect(await client.untilClosed()).toBe('');
    expect(edge.upgrades).toEqual([]);
    expect(edge.refused).toEqual(['PIPELINED']);
  });
});

describe('other events of the server', () => {
  test('an upgrade is handed over with an error listener on its socket', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port);
    client.send(UPGRADE);
    await held(edge);
    const gone = new Promise((done) => edge.upgrades[0]?.once('close', done));
    edge.upgrades[0]?.resume();
    client.socket.resetAndDestroy();
    await withDeadline(gone, 1000, 'socket closed');
  });

  test('CONNECT is answered 405', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send('CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n');
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 405 /);
    expect(edge.refused).toEqual(['METHOD_NOT_ALLOWED']);
  });

  test('an unknown expectation is answered 417 and reaches nobody', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nConnection: close\r\n\r\n');
    expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 417 /);
    expect(edge.most).toBe(0);
  });

  test('100-continue is answered here', async () => {
    const edge = await startEdge((req, res) => req.resume().once('end', () => res.end('ok')));
    const client = new RawClient(edge.port);
    client.send('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n');
    await client.until(/^HTTP\/1\.1 100 /);
    await client.send('x').until(/ok/);
    client.close();
  });

  test('header line 1001 and those behind it are seen', async () => {
    let lines = 0;
    const edge = await startEdge((req, res) => {
      lines = req.rawHeaders.length / 2;
      res.end('ok');
    });
    const many = 'a: b\r\n'.repeat(1200);
    const client = new RawClient(edge.port).send(`GET / HTTP/1.1\r\nHost: a\r\n${many}\r\n`);
    await client.until(/ok/);
    client.close();
    expect(lines).toBe(1201);
  });

  test('plain HTTP on a TLS port is closed without an answer that nobody could read', async () => {
    const server = createTlsServer(serverOptions({ timeouts: TIMEOUTS }));
    const refused: ErrorCode[] = [];
    hardenServer(server, {
      onRequest: (_req, res) => res.end(),
      onUpgrade: (_req, socket) => socket.destroy(),
      onRefused: (code) => refused.push(code),
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const client = new RawClient((server.address() as AddressInfo).port).send(GET);
    expect(await client.untilClosed()).not.toContain('HTTP/1.1');
    await new Promise((done) => server.close(done));
    expect(refused).toEqual([]);
  });
});

describe('an upgrade to something else than WebSocket', () => {
  /** Tells what it was asked, over and over on one connection. */
  async function startEcho(): Promise<Edge> {
    return startEdge((req, res) => {
      let body = '';
      req.on('data', (chunk: Buffer) => (body += chunk.toString()));
      req.on('end', () => {
        res.end(`<${req.method ?? ''} ${req.url ?? ''} ${body} ${JSON.stringify(req.headers)}>`);
      });
    });
  }

  test('is an ordinary request, its body included, and so are those after it', async () => {
    const edge = await startEcho();
    const client = new RawClient(edge.port).send(
      'POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n' +
        'HTTP2-Settings: AAMAAABk\r\nContent-Length: 5\r\n\r\nhel',
    );
    client.send('lo');
    await client.until(/<POST \/a\?b hello {"host":"x","content-length":"5"}>/);
    client.send('GET /c HTTP/1.1\r\nHost: y\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n');
    await client.until(/<GET \/c {2}{"host":"y"}>/);
    client.send('GET /d HTTP/1.1\r\nHost: z\r\nConnection: close, upgrade\r\nUpgrade: tls\r\n\r\n');
    expect(await client.untilClosed()).toMatch(/<GET \/d {2}{"host":"z","connection":"close"}>/);
    expect(edge.upgrades).toEqual([]);
    expect(edge.refused).toEqual([]);
  });

  test('cannot hide a second request in its body', async () => {
    const edge = await startEcho();
    const client = new RawClient(edge.port).send(
      'POST /a HTTP/1.1\r\nHost: x\r\nConnection: upgrade, close\r\nUpgrade: h2c\r\n' +
        'Content-Length: 37\r\n\r\nGET /hidden HTTP/1.1\r\nHost: hidden\r\n\r\n',
    );
    expect(await client.untilClosed()).toContain('<POST /a GET /hidden');
    expect(client.statuses).toEqual([200]);
  });

  test('behind an unanswered request is refused like any other', async () => {
    const edge = await startEdge();
    const client = new RawClient(edge.port).send('GET /a HTTP/1.1\r\nHost: x\r\n\r\n');
    client.send('GET /b HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n');
    await client.untilClosed();
    expect(edge.refused).toEqual(['PIPELINED']);
    expect(edge.most).toBe(1);
  });
});
