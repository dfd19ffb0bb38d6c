import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { eventually } from '../helpers/eventually.ts';
import { startNode } from '../helpers/nodes.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const PREFLIGHTS = 20;
const PAGE = 'https://page.example';
const SID = '6c1f2b1e-9d6a-4f0e-8a44-0f6c1d2e3f40';
const PACKET = `0{"sid":"${SID}","upgrades":[],"pingInterval":25000,"pingTimeout":60000}`;

const closers = new Closers();
afterEach(() => closers.close());

interface Opener {
  readonly url: string;
  /** Method and query of each request, in their order. */
  readonly asked: readonly string[];
  close(): Promise<void>;
}

/** Answers as netty-socketio, which opens a session for any method and says the same with all answers. */
async function startOpener(says: Record<string, string>, status = 200): Promise<Opener> {
  const asked: string[] = [];
  const server = http.createServer((req, res) => {
    asked.push(`${req.method ?? ''} ${(req.url ?? '').replace('/socket.io/', '')}`);
    req.resume();
    res.writeHead(status, { 'Set-Cookie': `io=${SID}`, ...says });
    const opens = req.method === 'GET' && status === 200;
    res.end(opens ? `${String(PACKET.length)}:${PACKET}` : 'ok');
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { url: `http://127.0.0.1:${String(port)}`, asked, close };
}

async function preflight(front: TestRouter, signal?: AbortSignal): Promise<Response> {
  return fetch(`${front.url}/socket.io/?EIO=4&transport=polling`, {
    ...(signal === undefined ? {} : { signal }),
    method: 'OPTIONS',
    headers: {
      origin: PAGE,
      'access-control-request-method': 'GET',
      'access-control-request-headers': 'x-token',
    },
  });
}

const ANY_ORIGIN = { 'Access-Control-Allow-Origin': '*' };

describe('a server that opens a session for a preflight', () => {
  test.each(['handshake', 'tcp'])('never gets one, with checks by %s', async (check) => {
    const opener = closers.add(await startOpener(ANY_ORIGIN));
    const front = closers.add(await startTestRouter({ upstreams: opener.url, health: { check } }));

    const answers = await Promise.all(Array.from({ length: PREFLIGHTS }, () => preflight(front)));

    expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200));
    expect(answers[0]?.headers.get('access-control-allow-origin')).toBe(PAGE);
    expect(answers[0]?.headers.get('access-control-allow-credentials')).toBe('true');
    expect(answers[0]?.headers.get('access-control-allow-headers')).toBe('Content-Type');
    expect(opener.asked.filter((line) => line.startsWith('OPTIONS'))).toEqual([]);
    const opened = opener.asked.filter((line) => line.startsWith('GET'));
    const closed = opener.asked.filter((line) => line.startsWith('POST'));
    expect(closed).toHaveLength(opened.length);
  });

  test('is answered for by its own rules', async () => {
    const says = {
      'Access-Control-Allow-Origin': 'https://app.example',
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Allow-Headers': 'x-token',
    };
    const opener = closers.add(await startOpener(says));
    const front = closers.add(await startTestRouter({ upstreams: opener.url }));

    const { headers } = await preflight(front);

    expect(headers.get('access-control-allow-origin')).toBe('https://app.example');
    expect(headers.get('access-control-allow-headers')).toBe('Content-Type, x-token');
    expect(headers.get('set-cookie')).toBeNull();
  });

  test('gets it if it opened none when it was asked for one', async () => {
    const opener = closers.add(await startOpener({}, 401));
    const front = closers.add(await startTestRouter({ upstreams: opener.url }));
    expect((await preflight(front)).status).toBe(401);
  });
});

test('the answer of a server that opens no session passes untouched', async () => {
  const node = closers.add(
    await startNode('node', { cors: { origin: PAGE, allowedHeaders: 'x-token', maxAge: 600 } }),
  );
  const front = closers.add(await startTestRouter({ upstreams: node.url }));

  const { status, headers } = await preflight(front);

  expect(status).toBe(204);
  expect(headers.get('access-control-allow-origin')).toBe(PAGE);
  expect(headers.get('access-control-allow-headers')).toBe('x-token');
  expect(headers.get('access-control-max-age')).toBe('600');
});

test('a server that cannot be reached is passed over, and if there is no other, named', async () => {
  const gone = await startOpener({});
  await gone.close();
  const node = closers.add(await startNode('node', { cors: { origin: PAGE } }));
  const front = closers.add(await startTestRouter({ upstreams: [gone.url, node.url] }));
  for (let i = 0; i < 4; i++) expect((await preflight(front)).status).toBe(204);

  const alone = closers.add(await startTestRouter({ upstreams: gone.url }));
  expect((await preflight(alone)).status).toBe(502);
});

test('a client that leaves while the router asks what the server is gets no answer', async () => {
  const limit = new AbortController();
  // Accepts, never answers, and so the handshake ends by its limit.
  const silent = closers.add(
    await startRawUpstream((socket) => {
      onRequestHead(socket, (head) => {
        if (head.includes('EIO=4')) limit.abort();
      });
    }),
  );
  const keys = {
    upstreams: `http://127.0.0.1:${String(silent.port)}`,
    health: { check: { http: '/health' }, timeout: '100ms' },
  };
  const front = closers.add(await startTestRouter(keys));
  await expect(preflight(front, limit.signal)).rejects.toThrow('aborted');
  const outcome = (): unknown => front.lines.find(({ msg }) => msg === 'request')?.['outcome'];
  await eventually(() => outcome() === 'CLIENT_GONE', 5000, 'the client is known to have left');
});
