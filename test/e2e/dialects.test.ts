import type http from 'node:http';
import { gunzipSync } from 'node:zlib';
import type { ServerOptions } from 'socket.io';
import { afterEach, describe, expect, test } from 'vitest';
import { startByteProxy } from '../helpers/byte-proxy.ts';
import { connectClient, echo, upgraded, WAYS } from '../helpers/clients.ts';
import { Closers } from '../helpers/closers.ts';
import { startNode } from '../helpers/nodes.ts';
import type { Node } from '../helpers/nodes.ts';
import { ask } from '../helpers/polling.ts';
import type { Answer } from '../helpers/polling.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';
import { MODES, runCrowd } from '../interop/netty/crowd.ts';
import type { Mode } from '../interop/netty/crowd.ts';

const CLIENTS = 50;

const closers = new Closers();
afterEach(() => closers.close());

async function startNodes(options: Partial<ServerOptions>): Promise<readonly Node[]> {
  const nodes = [await startNode('node-1', options), await startNode('node-2', options)];
  for (const { io, name: node } of nodes.map((each) => closers.add(each))) {
    io.on('connection', (socket) => {
      socket.on('helloevent', (value: object, answer: (value: object) => void) => {
        answer({ ...value, node });
      });
    });
  }
  return nodes;
}

async function routerFor(upstreams: readonly string[]): Promise<TestRouter> {
  return closers.add(await startTestRouter({ upstreams, health: { check: 'tcp' } }));
}

function urls(nodes: readonly { readonly url: string }[]): readonly string[] {
  return nodes.map(({ url }) => url);
}

/** Lets 50 clients of Socket.IO 4 connect at once and have something echoed; resolves with how many did. */
async function crowd(url: string, transports: string[]): Promise<number> {
  const served = await Promise.all(
    Array.from({ length: CLIENTS }, async (_, index) => {
      const socket = await connectClient(url, { transports });
      try {
        const answer = await echo(socket, index);
        if (transports.length > 1) await upgraded(socket);
        return answer === index;
      } finally {
        socket.close();
      }
    }),
  );
  return served.filter(Boolean).length;
}

describe('EIO=3 clients on nodes that allow them', () => {
  test.each(Object.keys(MODES) as Mode[])(
    `${String(CLIENTS)} of ${String(CLIENTS)}: %s`,
    async (mode) => {
      const router = await routerFor(urls(await startNodes({ allowEIO3: true })));
      const { served, failures, byNode } = await runCrowd(router.url, mode);
      expect({ served, failures }).toEqual({ served: CLIENTS, failures: [] });
      expect(byNode.size).toBe(2);
      expect(router.counter('handshakes')).toBe(CLIENTS);
    },
  );
});

describe('nodes that compress every answer they may', () => {
  test.each(WAYS)(`${String(CLIENTS)} of ${String(CLIENTS)}: %s`, async (_name, transports) => {
    const router = await routerFor(urls(await startNodes({ httpCompression: { threshold: 0 } })));
    expect(await crowd(router.url, transports)).toBe(CLIENTS);
    expect(router.counter('handshakes')).toBe(CLIENTS);
  });
});

describe('nodes whose every byte arrives on its own', () => {
  test(`${String(CLIENTS)} of ${String(CLIENTS)}: polling only`, async () => {
    const nodes = await startNodes({});
    const proxies = [];
    for (const { port } of nodes) proxies.push(closers.add(await startByteProxy(port)));
    const router = await routerFor(urls(proxies));
    expect(await crowd(router.url, ['polling'])).toBe(CLIENTS);
    for (const { bytes } of proxies) expect(bytes()).toBeGreaterThan(CLIENTS * 200);
  });
});

/** How a client that is written out here speaks to a node. */
interface Dialect {
  readonly query: string;
  readonly headers?: http.OutgoingHttpHeaders;
  /** What the client has to say before it is connected. */
  readonly connect?: string;
  readonly read: (answer: Answer) => string;
  readonly write: (payload: string) => { body: string; headers?: http.OutgoingHttpHeaders };
}

const readText = (answer: Answer): string => answer.body.toString();
const writeText = (body: string): { body: string } => ({ body });

function readJsonp(answer: Answer): string {
  const [, string] = /^___eio\[7\]\((".*")\);$/.exec(answer.body.toString()) ?? [];
  if (string === undefined) throw new Error(`no JSONP: ${answer.body.toString()}`);
  return JSON.parse(string) as string;
}

function writeForm(payload: string): { body: string; headers: http.OutgoingHttpHeaders } {
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return { headers, body: `d=${encodeURIComponent(payload)}` };
}

function readGzip(answer: Answer): string {
  return answer.headers['content-encoding'] === 'gzip'
    ? gunzipSync(answer.body).toString()
    : `not compressed: ${answer.body.toString()}`;
}

const dialects: readonly (readonly [string, Dialect])[] = [
  ['JSONP, EIO=4', { query: 'EIO=4&j=7', connect: '40', read: readJsonp, write: writeForm }],
  ['JSONP, EIO=3', { query: 'EIO=3&b64=1&j=7', read: readJsonp, write: writeForm }],
  ['EIO=3 with b64', { query: 'EIO=3&b64=1', read: readText, write: writeText }],
  [
    'gzip accepted',
    {
      query: 'EIO=4',
      headers: { 'accept-encoding': 'gzip' },
      connect: '40',
      read: readGzip,
      write: writeText,
    },
  ],
];

describe('clients written by hand on nodes that compress every answer they may', () => {
  test.each(dialects)(`${String(CLIENTS)} of ${String(CLIENTS)}: %s`, async (_name, dialect) => {
    const options = { allowEIO3: true, httpCompression: { threshold: 0 } };
    const router = await routerFor(urls(await startNodes(options)));
    const welcomes = await Promise.all(
      Array.from({ length: CLIENTS }, () => welcomeIn(dialect, router.url)),
    );
    expect(welcomes.filter((name) => /^node-[12]$/.test(name))).toHaveLength(CLIENTS);
    expect(new Set(welcomes).size).toBe(2);
    expect(router.counter('handshakes')).toBe(CLIENTS);
  });
});

/** Connects, reads the name in the node's welcome, leaves. */
async function welcomeIn(dialect: Dialect, url: string): Promise<string> {
  const { query, headers = {}, connect, read, write } = dialect;
  const target = `${url}/socket.io/?transport=polling&${query}`;
  const handshake = await ask(target, { headers });
  // It is asked for plain, so that its sid can be read.
  expect(handshake.headers).not.toHaveProperty('content-encoding');
  const plain = query.includes('j=') ? readJsonp(handshake) : readText(handshake);
  const [, sid] = /"sid":"([\w-]+)"/.exec(plain) ?? [];
  const session = `${target}&sid=${String(sid)}`;
  const post = async (payload: string): Promise<void> => {
    const { headers: own, body } = write(payload);
    const { status } = await ask(session, {
      method: 'POST',
      headers: { ...headers, ...own },
      body,
    });
    expect(status).toBe(200);
  };
  if (connect !== undefined) await post(connect);
  let received = '';
  while (!received.includes('"welcome"')) received += read(await ask(session, { headers }));
  await post(query.includes('EIO=3') ? '1:1' : '1');
  return /\["welcome","([^"]+)"\]/.exec(received)?.[1] ?? received;
}
