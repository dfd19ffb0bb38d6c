import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { LINGER_MS } from '../../src/forward/last-bytes.ts';
import { startAppRouter } from '../helpers/app-router.ts';
import type { AppRouter } from '../helpers/app-router.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { freePort } from '../helpers/free-port.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import type { RawUpstream } from '../helpers/raw-upstream.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const ACCEPTED =
  'HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n';
const UPGRADE =
  'GET /ws HTTP/1.1\r\nHost: a.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n';

const apps: RawUpstream[] = [];
const routers: AppRouter[] = [];
const clients: RawClient[] = [];
const uncaught: unknown[] = [];
process.on('uncaughtException', (error) => uncaught.push(error));

/** Every test ends with nothing thrown into the air and no connection left on either side. */
afterEach(async () => {
  for (const client of clients.splice(0)) client.close();
  try {
    for (const router of routers.splice(0)) await router.close();
    const left = apps.flatMap((app) => app.sockets).filter((socket) => !socket.destroyed);
    const gone = Promise.all(left.map((socket) => once(socket.resume(), 'close')));
    await withDeadline(gone, 3000, 'all connections to the app are closed');
  } finally {
    for (const app of apps.splice(0)) await app.close();
  }
  expect(uncaught.splice(0)).toEqual([]);
});

async function startApp(serve: (socket: Socket, index: number) => void): Promise<RawUpstream> {
  const app = await startRawUpstream(serve);
  apps.push(app);
  return app;
}

async function startRouter(
  to: readonly (RawUpstream | string)[],
  options: Parameters<typeof startAppRouter>[1] = {},
): Promise<AppRouter> {
  const urls = to.map((app) =>
    typeof app === 'string' ? app : `http://127.0.0.1:${String(app.port)}`,
  );
  const router = await startAppRouter(urls, options);
  routers.push(router);
  return router;
}

function connectTo(router: AppRouter): RawClient {
  const client = new RawClient(router.port);
  clients.push(client);
  return client;
}

function request(line: string, ...more: string[]): string {
  return [`${line} HTTP/1.1`, 'Host: a.test', ...more, '', ''].join('\r\n');
}

const GET = request('GET /');

/** An app that answers every request alike, and a router in front of it; heads are what it was sent. */
async function answering(
  answer: string | ((socket: Socket, head: string) => void),
  options: Parameters<typeof startAppRouter>[1] = {},
): Promise<{ app: RawUpstream; router: AppRouter; client: RawClient; heads: string[] }> {
  const heads: string[] = [];
  const app = await startApp((socket) => {
    onRequestHead(socket, (head) => {
      heads.push(head);
      if (typeof answer === 'string') socket.write(answer, 'latin1');
      else answer(socket, head);
    });
  });
  const router = await startRouter([app], options);
  return { app, router, client: connectTo(router), heads };
}

/** A promise and what settles it, for an event inside an app. */
function signal<T>(label: string): { fire: (value: T) => void; fired: Promise<T> } {
  let fire: (value: T) => void = () => undefined;
  const fired = new Promise<T>((resolve) => (fire = resolve));
  return { fire, fired: withDeadline(fired, 4000, label) };
}

async function expectClosedSoon(socket: Socket): Promise<void> {
  const startedMs = performance.now();
  const closed = new Promise((resolve) => socket.once('close', resolve));
  if (!socket.destroyed) await withDeadline(closed, 2000, 'connection of the app is closed');
  expect(performance.now() - startedMs).toBeLessThan(500);
}

/** A peer that has only ended still takes bytes; one that is closed answers them with a reset. */
async function expectPeerIsClosed(socket: Socket): Promise<void> {
  const writing = setInterval(() => socket.write('still here'), 10);
  await expectClosedSoon(socket).finally(() => {
    clearInterval(writing);
  });
}

describe('a request and its answer', () => {
  test('keep their path, order, spelling and repeated fields', async () => {
    const answer =
      'HTTP/1.1 200 Fine\r\nSet-Cookie: a=1\r\nX-Odd: \xe9\r\nSet-Cookie: b=2\r\nContent-Length: 2\r\n\r\nok';
    const { client, heads } = await answering(answer);
    client.send(request('GET /a//b/%2F?x=//y?z', 'X-One: 1', 'accept: a', 'X-One: 2'));
    const text = await client.until(/ok$/);
    expect(text).toBe(
      answer.replace('\r\n\r\n', '\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\r\n'),
    );
    expect(heads).toEqual([
      'GET /a//b/%2F?x=//y?z HTTP/1.1\r\nHost: a.test\r\nX-One: 1\r\naccept: a\r\nX-One: 2\r\nX-Forwarded-For: 192.0.2.1\r\nConnection: keep-alive',
    ]);
  });

  test('are put below the path of the URL of the app', async () => {
    const { app, heads } = await answering(OK);
    const router = await startRouter([`http://127.0.0.1:${String(app.port)}/base/`]);
    await connectTo(router).send(GET).until(/ok$/);
    expect(heads[0]).toMatch(/^GET \/base\/ HTTP/);
  });

  test('reuse pooled connections', async () => {
    const { app, client } = await answering(OK);
    for (const count of [1, 2, 3]) {
      client.send(GET);
      await client.until(new RegExp(`(?:ok[^]*){${String(count)}}$`));
    }
    expect(app.sockets).toHaveLength(1);
  });

  test('pass megabytes up and down unharmed', async () => {
    const payload = randomBytes(4 * 1024 * 1024);
    const app = await startApp((socket) => {
      let head = '';
      socket.on('data', (chunk: Buffer) => {
        if (head.includes('\r\n\r\n')) {
          socket.write(chunk);
          return;
        }
        head += chunk.toString('latin1');
        const at = head.indexOf('\r\n\r\n');
        if (at === -1) return;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(payload.length)}\r\n\r\n`);
        socket.write(head.slice(at + 4), 'latin1');
      });
    });
    const router = await startRouter([app]);
    const response = await fetch(`http://127.0.0.1:${String(router.port)}/`, {
      method: 'POST',
      body: payload,
    });
    const back = Buffer.from(await response.arrayBuffer());
    const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
    expect(hash(back)).toBe(hash(payload));
  });

  test.each([
    ['chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n', /ok/],
    ['a 204 that names a length', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', / 204 /],
    [
      'a 304 that names a length',
      'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
      / 304 /,
    ],
    ['an interim answer first', `HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${OK}`, /200 OK[^]*ok/],
  ])('understand %s and can be followed by another', async (_name, answer, expected) => {
    const { client } = await answering(answer);
    expect(await client.send(GET).until(expected)).not.toMatch(/ 204 [^]*content-length/i);
    await client.send(GET).untilAnswers(2);
  });

  test('HEAD gets the length and no body', async () => {
    const { client } = await answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n');
    client.send(request('HEAD /')).send(request('HEAD /', 'Connection: close'));
    expect((await client.untilClosed()).match(/Content-Length: 2/g)).toHaveLength(2);
  });

  test('an answer that ends with its connection is whole', async () => {
    const { client } = await answering((socket) => socket.end('HTTP/1.1 200 OK\r\n\r\nto the end'));
    expect(await client.send(GET).until(/0\r\n\r\n$/)).toContain('to the end');
  });

  test('a POST without a body says so', async () => {
    const { client, heads } = await answering(OK);
    await client.send(request('POST /')).until(/ok$/);
    expect(heads[0]).toContain('Content-Length: 0');
    expect(heads[0]).not.toMatch(/transfer-encoding/i);
  });

  test('the header of an event stream does not wait for its first event', async () => {
    const app = signal<Socket>('request arrived');
    const { client } = await answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n');
      app.fire(socket);
    });
    await client.send(GET).until(/event-stream/);
    (await app.fired).end('data: 1\n\n');
    await client.until(/data: 1/);
  });

  test('an answer may pause for longer than the time that it had to begin', async () => {
    const { client } = await answering(
      (socket) => {
        socket.write('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab');
        setTimeout(() => socket.write('cd'), 300);
      },
      { upstreamTimeoutMs: 100 },
    );
    await client.send(GET).until(/abcd$/);
  });
});

describe('a client that leaves', () => {
  test('while it waits for the answer is gone for the app too', async () => {
    const arrived = signal<Socket>('request arrived');
    const { client, router } = await answering((socket) => {
      arrived.fire(socket);
    });
    client.send(GET);
    const socket = await arrived.fired;
    client.close();
    await expectClosedSoon(socket);
    expect(router.errors).toEqual([]);
  });

  test('while the app is still being connected is gone for the app too', async () => {
    const accepted = signal<Socket>('connection accepted');
    // TLS to an app that never says a word: the connect does not end by itself.
    const app = await startApp((socket) => {
      socket.once('data', () => {
        accepted.fire(socket);
      });
    });
    const router = await startRouter([`https://127.0.0.1:${String(app.port)}`]);
    const client = connectTo(router).send(GET);
    const socket = await accepted.fired;
    client.close();
    await expectClosedSoon(socket);
  });

  test('in the middle of an answer is gone for the app too', async () => {
    const arrived = signal<Socket>('request arrived');
    const { client, router } = await answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart');
      arrived.fire(socket);
    });
    await client.send(GET).until(/part$/);
    client.close();
    await expectClosedSoon(await arrived.fired);
    expect(router.errors).toEqual([]);
  });

  test('in the middle of its body is gone for the app too', async () => {
    const arrived = signal<Socket>('request arrived');
    const { client, router } = await answering((socket) => {
      arrived.fire(socket);
    });
    client.send(`${request('POST /', 'Content-Length: 100')}part`);
    const socket = await arrived.fired;
    client.close();
    await expectClosedSoon(socket);
    expect(router.errors).toEqual([]);
  });
});

describe('an app that dies', () => {
  test.each([
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\npart\r\n'],
    ['a known length', 'Content-Length: 100\r\n\r\npart'],
  ])('in the middle of %s ends the answer of the client', async (_name, rest) => {
    const { client, router } = await answering((socket) =>
      socket.end(`HTTP/1.1 200 OK\r\n${rest}`),
    );
    const text = await client.send(GET).untilClosed();
    expect(text).toMatch(/part(?:\r\n)?$/);
    expect(router.errors).toEqual(['UPSTREAM_CUT']);
  });

  test('by a reset in the middle of an answer without a length is not taken for its end', async () => {
    const arrived = signal<Socket>('request arrived');
    const { client, router } = await answering((socket) => {
      socket.write('HTTP/1.1 200 OK\r\n\r\npart');
      arrived.fire(socket);
    });
    await client.send(GET).until(/part/);
    (await arrived.fired).resetAndDestroy();
    expect(await client.untilClosed()).not.toMatch(/0\r\n\r\n$/);
    expect(router.errors).toEqual(['UPSTREAM_CUT']);
  });

  test('before it answers is a 502', async () => {
    const { client, router } = await answering((socket) => socket.end());
    await client.send(request('GET /', 'Connection: close')).untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(client.received).toContain('upstream closed the connection before it answered\n');
    expect(router.errors).toEqual(['UPSTREAM_RESET']);
  });

  test('while it gets a body is a 502', async () => {
    const { client } = await answering((socket) => socket.resetAndDestroy());
    client.send(`${request('POST /', 'Content-Length: 100')}part`);
    await client.untilAnswers(1);
    expect(client.statuses).toEqual([502]);
    expect(client.received).toMatch(/connection: close/i);
  });

  test('after keeping a connection is asked anew by a GET and not by a POST', async () => {
    const serve = (socket: Socket): void => {
      let requests = 0;
      onRequestHead(socket, () => (++requests === 1 ? socket.write(OK) : socket.destroy()));
    };
    for (const [method, statuses] of [
      ['GET', [200, 200]],
      ['POST', [200, 502]],
    ] as const) {
      const app = await startApp(serve);
      const client = connectTo(await startRouter([app]));
      await client.send(request(`${method} /`)).until(/ok$/);
      await client.send(request(`${method} /`)).untilAnswers(2);
      expect(client.statuses).toEqual(statuses);
      expect(app.sockets).toHaveLength(method === 'GET' ? 2 : 1);
    }
  });
});

describe('limits of time', () => {
  test('an app that does not answer is a 504', async () => {
    const { client, router } = await answering(() => undefined, { upstreamTimeoutMs: 50 });
    await client.send(request('GET /', 'Connection: close')).untilClosed();
    expect(client.statuses).toEqual([504]);
    expect(router.errors).toEqual(['UPSTREAM_TIMEOUT']);
  });

  test('an app that cannot be connected in time is a 502', async () => {
    const app = await startApp(() => undefined);
    const router = await startRouter([`https://127.0.0.1:${String(app.port)}`], {
      connectTimeoutMs: 50,
    });
    const client = connectTo(router).send(request('GET /', 'Connection: close'));
    await client.untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(router.errors).toEqual(['UPSTREAM_CONNECT']);
  });

  test('an app that does not answer an upgrade is a 504', async () => {
    const { client, router } = await answering(() => undefined, { upgradeTimeoutMs: 50 });
    await client.send(UPGRADE).untilClosed();
    expect(client.statuses).toEqual([504]);
    expect(router.errors).toEqual(['UPSTREAM_TIMEOUT']);
  });
});

test.each([
  ['a request', GET],
  ['an upgrade', UPGRADE],
])('over TLS %s asks for the name of the app, not for that in Host', async (_name, sent) => {
  const hello = signal<string>('hello arrived');
  const app = await startApp((socket) => {
    socket.once('data', (bytes: Buffer) => {
      hello.fire(bytes.toString('latin1'));
    });
  });
  const client = connectTo(await startRouter([`https://localhost:${String(app.port)}`])).send(sent);
  expect(await hello.fired).toContain('localhost');
  expect(await hello.fired).not.toContain('a.test');
  client.close();
});

describe('several apps', () => {
  test('take turns', async () => {
    const seen: number[] = [];
    const serve = (id: number) => (socket: Socket) => {
      onRequestHead(socket, () => {
        seen.push(id);
        socket.write(OK);
      });
    };
    const router = await startRouter([await startApp(serve(1)), await startApp(serve(2))]);
    const client = connectTo(router);
    for (const count of [1, 2, 3, 4]) await client.send(GET).untilAnswers(count);
    expect(seen).toEqual([1, 2, 1, 2]);
  });

  test('replace one that refuses, which is then passed over', async () => {
    const { app } = await answering(OK);
    const dead = `http://127.0.0.1:${String(await freePort())}`;
    const router = await startRouter([dead, app]);
    const client = connectTo(router);
    for (const count of [1, 2, 3]) await client.send(GET).untilAnswers(count);
    expect(client.statuses).toEqual([200, 200, 200]);
    expect(router.errors).toEqual(['UPSTREAM_CONNECT']);
  });

  test('replace one that refuses an upgrade at its port', async () => {
    const { app } = await answering(ACCEPTED);
    const dead = `http://127.0.0.1:${String(await freePort())}`;
    const client = connectTo(await startRouter([dead, app])).send(UPGRADE);
    await client.until(/101 [^]*\r\n\r\n$/);
  });

  test('do not replace one for a request with a body', async () => {
    const { app, heads } = await answering(OK);
    const dead = `http://127.0.0.1:${String(await freePort())}`;
    const client = connectTo(await startRouter([dead, app]));
    client.send(`${request('POST /', 'Content-Length: 1', 'Connection: close')}x`);
    await client.untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(heads).toEqual([]);
  });

  test('that all refuse are a 502', async () => {
    const urls = [await freePort(), await freePort()].map((port) => `http://127.0.0.1:${port}`);
    const router = await startRouter(urls);
    const client = connectTo(router).send(GET).send(UPGRADE);
    await client.untilClosed();
    expect(client.statuses).toEqual([502, 502]);
    expect(router.errors).toHaveLength(4);
  });
});

describe('requests that a library could choke on', () => {
  test.each(['http://[', 'http://other.test/', '*'])('the target %s is a 400', async (target) => {
    const { client, heads } = await answering(OK);
    await client.send(request(`OPTIONS ${target}`, 'Connection: close')).untilClosed();
    expect(client.statuses).toEqual([400]);
    expect(heads).toEqual([]);
  });

  test('a Trailer field without chunks is dropped', async () => {
    const { client, heads } = await answering(OK);
    await client.send(request('GET /', 'Trailer: q')).until(/ok$/);
    expect(heads[0]).not.toMatch(/trailer/i);
  });

  test('a DELETE with chunks stays framed by chunks', async () => {
    const received: string[] = [];
    const app = await startApp((socket) => {
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk.toString('latin1'));
        if (received.join('').endsWith('0\r\n\r\n')) socket.write(OK);
      });
    });
    const inner = 'GET /admin HTTP/1.1\r\nHost: a.test\r\n\r\n';
    const body = `${inner.length.toString(16)}\r\n${inner}\r\n0\r\n\r\n`;
    const client = connectTo(await startRouter([app]));
    await client.send(request('DELETE /', 'Transfer-Encoding: chunked') + body).until(/ok$/);
    const [head = '', ...rest] = received.join('').split('\r\n\r\n');
    expect(head).toContain('Transfer-Encoding: chunked');
    expect(head).not.toMatch(/content-length/i);
    expect(rest.join('\r\n\r\n')).toBe(body);
  });

  test('a body in chunks above the limit is a 413, and the app’s side is closed', async () => {
    const app = await startApp((socket) => socket.resume());
    const client = connectTo(await startRouter([app], { bodyLimitBytes: 10_000 }));
    const chunk = `2000\r\n${'x'.repeat(0x2000)}\r\n`;
    const post = request('POST /', 'Transfer-Encoding: chunked');
    await client.send(`${post}${chunk}${chunk}0\r\n\r\n`).until(/^HTTP\/1\.1 413 /);
    await expect.poll(() => app.open(), { interval: 5 }).toBe(0);
  });

  test.each(['gzip, chunked', 'identity, chunked'])(
    'the transfer coding %s is a 400',
    async (coding) => {
      const { client, heads } = await answering(OK);
      client.send(`${request('DELETE /', `Transfer-Encoding: ${coding}`)}0\r\n\r\n`);
      await client.untilAnswers(1);
      expect(client.statuses).toEqual([400]);
      expect(heads).toEqual([]);
    },
  );

  test('hop-by-hop fields end here, and Connection cannot take away others', async () => {
    const { client, heads } = await answering(OK);
    const fields = [
      'Connection: close, X-Secret, Cookie, Host',
      'X-Secret: s',
      'Cookie: c=1',
      'Keep-Alive: 5',
      'TE: trailers',
      'Proxy-Authorization: p',
      'Upgrade: h2c',
      'Expect: 100-continue',
    ];
    const client2 = client.send(
      request('GET /', ...fields.filter((field) => !field.startsWith('Upgrade'))),
    );
    await client2.untilClosed();
    const own = 'X-Forwarded-For: 192.0.2.1\r\nConnection: keep-alive';
    expect(heads).toEqual([`GET / HTTP/1.1\r\nHost: a.test\r\nCookie: c=1\r\n${own}`]);
  });

  test('a client that says close does not cost the app its pooled connection', async () => {
    const { app, router } = await answering(OK);
    for (let i = 0; i < 2; i++) {
      await connectTo(router).send(request('GET /', 'Connection: close')).untilClosed();
    }
    expect(app.sockets).toHaveLength(1);
  });

  test('forwarding fields of the client are replaced', async () => {
    const { client, heads } = await answering(OK);
    const forged = [
      'X-Forwarded-For: 6.6.6.6',
      'X_Forwarded_For: 6.6.6.6',
      'Forwarded: for=6.6.6.6',
    ];
    await client.send(request('GET /', ...forged, 'X-Real-IP: 6.6.6.6')).until(/ok$/);
    expect(heads[0]).not.toContain('6.6.6.6');
    expect(heads[0]).toContain('X-Forwarded-For: 192.0.2.1');
  });

  test('fifty at once each arrive whole', async () => {
    const { router, heads } = await answering(OK);
    const all = Array.from({ length: 50 }, () => connectTo(router).send(GET).until(/ok$/));
    await Promise.all(all);
    expect(heads.filter((head) => head.includes('X-Forwarded-For: 192.0.2.1'))).toHaveLength(50);
  });
});

describe('answers that a library could choke on', () => {
  test.each([
    ['status 099', 'HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok'],
    ['a 101 that nobody asked for', ACCEPTED],
    ['a bare 101', 'HTTP/1.1 101 Switching Protocols\r\n\r\n'],
    ['a coding other than chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok'],
    ['no HTTP', 'SSH-2.0-OpenSSH_9.2\r\n\r\n'],
    ['a thousand lines', `HTTP/1.1 200 OK\r\n${'a:\r\n'.repeat(1001)}Content-Length: 2\r\n\r\nok`],
    ['a header of 64 KiB', `HTTP/1.1 200 OK\r\nX: ${'x'.repeat(65_536)}\r\n\r\n`],
  ])('%s is a 502', async (_name, answer) => {
    const { client, router } = await answering(answer);
    await client.send(request('GET /', 'Connection: close')).untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(router.errors).toEqual(['UPSTREAM_BAD_ANSWER']);
  });

  test('a control byte in the reason is not passed on', async () => {
    const { client } = await answering('HTTP/1.1 200 O\x01K\r\nContent-Length: 2\r\n\r\nok');
    expect(await client.send(GET).until(/ok$/)).toMatch(
      /^HTTP\/1\.1 (?:200 OK|502 Bad Gateway)\r\n/,
    );
  });

  test('Trailer and hop-by-hop fields end here', async () => {
    const { client } = await answering(
      'HTTP/1.1 200 OK\r\nTrailer: q\r\nConnection: X-Inner\r\nX-Inner: 1\r\nKeep-Alive: timeout=99\r\nProxy-Connection: x\r\nContent-Length: 2\r\n\r\nok',
    );
    const text = await client.send(GET).until(/ok$/);
    expect(text).not.toMatch(/trailer|x-inner|timeout=99|proxy-connection/i);
  });

  test('trailers after chunks are dropped', async () => {
    const { client } = await answering(
      'HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n',
    );
    expect(await client.send(GET).until(/0\r\n\r\n$/)).not.toMatch(/x-sum/i);
  });

  test('any garbage leaves the client answered or cut off, and the next one served', async () => {
    let answer = OK;
    const { router } = await answering((socket) => socket.end(answer, 'latin1'));
    const pieces = fc.constantFrom(
      ...[
        'HTTP/1.1 ',
        'HTTP/9.9 ',
        '200',
        '099',
        '101',
        '999',
        ' OK',
        ' \x00',
        '\r\n',
        '\n',
        'X: y',
      ],
      ...[
        '\r\n\r\n',
        'Content-Length: 3',
        'Content-Length: -1',
        'Transfer-Encoding: chunked',
        'abc',
      ],
      ...[
        'Connection: Upgrade',
        'Upgrade: websocket',
        '3\r\nabc\r\n',
        '0\r\n\r\n',
        'Trailer: x',
        ':',
      ],
    );
    const garbage = fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join(''));
    await fc.assert(
      fc.asyncProperty(garbage, fc.constantFrom(GET, UPGRADE), async (text, sent) => {
        answer = `${text.length % 2 === 0 ? 'HTTP/1.1 ' : ''}${text}`;
        const client = connectTo(router).send(sent.replace('\r\n\r\n', '\r\nX: 1\r\n\r\n'));
        const answered = client.untilAnswers(1).catch(() => undefined);
        await withDeadline(Promise.race([answered, client.closed]), 3000, 'answered or cut off');
        client.close();
        answer = OK;
        const next = connectTo(router).send(GET);
        await next.until(/ok$/);
        next.close();
      }),
      { numRuns: 150 },
    );
  });
});

describe('an upgrade', () => {
  /** An app that accepts and sends everything back. */
  const echo = (socket: Socket): void => {
    onRequestHead(socket, () => {
      socket.removeAllListeners('data');
      socket.write(ACCEPTED);
      socket.pipe(socket);
    });
  };

  test('passes bytes both ways, those before and right behind the answer included', async () => {
    const seen = signal<Socket>('request arrived');
    const heads: string[] = [];
    const app = await startApp((socket) => {
      onRequestHead(socket, (head) => {
        heads.push(head);
        socket.removeAllListeners('data');
        socket.pause();
        seen.fire(socket);
      });
    });
    const client = connectTo(await startRouter([app])).send(`${UPGRADE}early`);
    const socket = await seen.fired;
    client.send(' later');
    socket.write(`${ACCEPTED}hello `);
    await client.until(/hello $/);
    socket.pipe(socket);
    await client.until(/hello early later$/);
    expect(client.received).toMatch(
      /^HTTP\/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n/,
    );
    expect(heads[0]).toContain('Connection: Upgrade\r\nUpgrade: websocket');
  });

  test('carries megabytes unharmed', async () => {
    const client = connectTo(await startRouter([await startApp(echo)])).send(UPGRADE);
    await client.until(/\r\n\r\n$/);
    const payload = randomBytes(2 * 1024 * 1024).toString('latin1');
    const offset = client.received.length;
    const back = new Promise<void>((resolve) => {
      client.socket.on('data', () => {
        if (client.received.length - offset >= payload.length) resolve();
      });
    });
    client.send(payload);
    await withDeadline(back, 5000, 'everything came back');
    expect(client.received.slice(offset) === payload).toBe(true);
  });

  test('never uses a pooled connection', async () => {
    const { app, client, router } = await answering((socket, head) =>
      socket.write(head.includes('websocket') ? ACCEPTED : OK),
    );
    await client.send(GET).until(/ok$/);
    await connectTo(router).send(UPGRADE).until(/101/);
    expect(app.sockets).toHaveLength(2);
  });

  test.each([
    ['a length', 'GET', 'Content-Length: 4'],
    ['chunks', 'GET', 'Transfer-Encoding: chunked'],
    ['another method', 'POST', 'X: y'],
  ])('with %s is a 400', async (_name, method, field) => {
    const { client, heads } = await answering(OK);
    const upgrade = UPGRADE.replace('GET', method).replace('\r\n\r\n', `\r\n${field}\r\n\r\n`);
    await client.send(`${upgrade}GET `).untilClosed();
    expect(client.statuses).toEqual([400]);
    expect(heads).toEqual([]);
  });

  test('to another protocol is a 400', async () => {
    const { client } = await answering(OK);
    await client.send(UPGRADE.replace('Upgrade: websocket', 'Upgrade: h2c')).untilClosed();
    expect(client.statuses).toEqual([400]);
  });

  test.each([
    ['reset', (client: RawClient) => client.socket.resetAndDestroy()],
    ['end', (client: RawClient) => client.socket.end()],
  ])('whose client leaves by a %s before the answer is gone for the app too', async (_n, leave) => {
    const arrived = signal<Socket>('request arrived');
    const { client, router } = await answering((socket) => {
      arrived.fire(socket);
    });
    client.send(UPGRADE);
    const socket = await arrived.fired;
    leave(client);
    await expectClosedSoon(socket);
    expect(router.errors).toEqual([]);
  });

  test('whose client is reset leaves no half tunnel to an app that goes on sending', async () => {
    const { app, client } = await answering((socket) => {
      socket.allowHalfOpen = true;
      socket.write(ACCEPTED);
    });
    await client.send(UPGRADE).until(/101/);
    const socket = app.sockets[0]!;
    const ended = once(socket, 'end');
    client.socket.resetAndDestroy();
    await withDeadline(ended, 2000, 'app sees the end');
    await expectPeerIsClosed(socket);
  });

  test('whose client has ended is closed after a while even if its app never ends', async () => {
    const { app, client } = await answering((socket) => {
      socket.allowHalfOpen = true;
      socket.write(ACCEPTED);
    });
    await client.send(UPGRADE).until(/101/);
    const socket = app.sockets[0]!;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    client.socket.end();
    await once(socket, 'end');
    vi.advanceTimersByTime(LINGER_MS);
    vi.useRealTimers();
    await withDeadline(client.closed, 2000, 'client is closed');
    await expectPeerIsClosed(socket);
  });

  test('ends for the client when the app dies, and for the app when the client leaves', async () => {
    const app = await startApp(echo);
    const router = await startRouter([app]);
    for (const side of ['app', 'client']) {
      const client = connectTo(router).send(UPGRADE);
      await client.until(/101/);
      const socket = app.sockets.at(-1)!;
      if (side === 'app') {
        socket.destroy();
        await client.untilClosed();
      } else {
        client.close();
        await expectClosedSoon(socket);
      }
    }
  });

  test.each([
    ['chunks', 'Transfer-Encoding: chunked\r\n\r\n4\r\nsor\n\r\n0\r\n\r\n', 'sor\n'],
    ['a length', 'Content-Length: 4\r\n\r\nsor\n', 'sor\n'],
  ])('that is refused with %s is answered so', async (_name, rest, body) => {
    const { client } = await answering(
      `HTTP/1.1 403 Forbidden\r\nX-Why: y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n${rest}`,
    );
    const text = await client.send(UPGRADE).untilClosed();
    const [head = '', tail] = text.split('\r\n\r\n');
    expect(head).toMatch(
      /^HTTP\/1.1 403 Forbidden\r\nX-Why: y\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2/,
    );
    expect(head).toContain('Connection: close');
    expect(head).not.toMatch(/transfer-encoding/i);
    expect(tail).toBe(body);
  });

  test('whose refusal is cut off is cut off for the client', async () => {
    const { client, router } = await answering((socket) =>
      socket.end('HTTP/1.1 403 Forbidden\r\nContent-Length: 100\r\n\r\npart'),
    );
    expect(await client.send(UPGRADE).untilClosed()).toMatch(/403[^]*part$/);
    expect(router.errors).toEqual(['UPSTREAM_CUT']);
  });

  test.each([
    ['status 099', 'HTTP/1.1 099 Odd\r\nContent-Length: 2\r\n\r\nok', 'UPSTREAM_BAD_ANSWER'],
    [
      'another protocol',
      ACCEPTED.replace('Upgrade: websocket', 'Upgrade: h2c'),
      'UPSTREAM_BAD_ANSWER',
    ],
    ['no HTTP', 'hello\r\n\r\n', 'UPSTREAM_BAD_ANSWER'],
  ])('that is answered with %s is a 502', async (_name, answer, code) => {
    const { client, router } = await answering(answer);
    await client.send(UPGRADE).untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(router.errors).toEqual([code]);
  });

  test('whose app dies before it answers is a 502', async () => {
    const { client, router } = await answering((socket) => socket.destroy());
    await client.send(UPGRADE).untilClosed();
    expect(client.statuses).toEqual([502]);
    expect(router.errors).toEqual(['UPSTREAM_RESET']);
  });
});

describe('the end of a route', () => {
  test('close lets what runs finish and keeps nothing idle', async () => {
    const arrived = signal<Socket>('request arrived');
    const { app, client, router } = await answering((socket, head) => {
      if (head.includes('/slow')) arrived.fire(socket);
      else socket.write(OK);
    });
    const other = connectTo(router).send(request('GET /slow'));
    const slow = await arrived.fired;
    await client.send(GET).until(/ok$/);
    const idle = app.sockets.find((socket) => socket !== slow)!;
    router.route.close();
    await expectClosedSoon(idle);
    slow.write(OK);
    await other.until(/ok$/);
    await expectClosedSoon(slow);
  });

  test('destroy ends requests and tunnels at once', async () => {
    const arrived = signal<Socket>('request arrived');
    const { app, client, router } = await answering((socket, head) => {
      socket.allowHalfOpen = true;
      if (head.includes('websocket')) socket.write(ACCEPTED);
      else arrived.fire(socket);
    });
    const tunnel = connectTo(router).send(UPGRADE);
    await tunnel.until(/101/);
    client.send(GET);
    await arrived.fired;
    router.route.destroy();
    await Promise.all([client.untilClosed(), tunnel.untilClosed()]);
    await Promise.all(app.sockets.map((socket) => expectPeerIsClosed(socket)));
    expect(router.errors).toEqual([]);
  });
});
