import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { constants, inflateRawSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { eventually } from '../helpers/eventually.ts';
import { ask } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startRedis } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { ServerKind } from './matrix/contract.ts';
import { pythonServers } from './servers/python.ts';

/** How soon a node must lose the connection of a poll that its client has given up. */
const SOON_MS = 500;
/** Turns of a question that must reach the owner every time: two nodes, two replicas. */
const ROUNDS = 8;

const WAYS = ['direct', 'memory', 'redis'] as const;
type Way = (typeof WAYS)[number];

/** The ways to two nodes: to the first itself, and through routers. */
interface Site extends Readonly<Record<Way, string>> {
  /** Sessions whose binding the routers' stores have confirmed, of all that were opened so far. */
  readonly learnt: () => number;
  /** Connections to the nodes that have carried this text and are open, of all that have. */
  readonly carrying: (text: string) => { readonly open: number; readonly all: number };
}

const closers = new Closers();

async function startSite(kind: ServerKind): Promise<Site> {
  await kind.build();
  const nodes = [closers.add(await kind.start('node-1')), closers.add(await kind.start('node-2'))];
  const gates = [await startGate(nodes[0]?.port ?? 0), await startGate(nodes[1]?.port ?? 0)];
  gates.forEach((gate) => closers.add(gate));
  const redis = closers.add(await startRedis());
  const keys = { upstreams: gates.map(({ url }) => url), path: pathOf(kind) };
  const memory = closers.add(await startTestRouter(keys));
  const first = closers.add(await startTestRouter({ ...keys, store: redis.url }));
  const second = closers.add(await startTestRouter({ ...keys, store: redis.url }));
  const front = closers.add(await startRoundRobin([first.port, second.port]));
  return {
    direct: nodes[0]?.url ?? '',
    memory: memory.url,
    redis: front.url,
    learnt: () =>
      [memory, first, second].reduce((sum, router) => sum + router.counter('handshakes'), 0),
    carrying: (text) => {
      const connections = gates.flatMap((gate) => gate.connections);
      const all = connections.filter(({ said }) => said.includes(text));
      return { open: all.filter(({ isOpen }) => isOpen).length, all: all.length };
    },
  };
}

interface Connection {
  said: string;
  isOpen: boolean;
}

interface Gate {
  readonly url: string;
  readonly connections: readonly Connection[];
  close(): Promise<void>;
}

/** A TCP proxy that remembers what its connections have carried to the node. */
async function startGate(port: number): Promise<Gate> {
  const connections: Connection[] = [];
  const ends = new Set<() => void>();
  const server = createServer((client) => {
    const connection = { said: '', isOpen: true };
    connections.push(connection);
    const node = connect(port, '127.0.0.1');
    const end = (): void => {
      connection.isOpen = false;
      client.destroy();
      node.destroy();
      ends.delete(end);
    };
    ends.add(end);
    for (const socket of [client, node]) socket.on('error', end).on('close', end);
    client.on('data', (chunk) => (connection.said += chunk.toString('latin1')));
    client.pipe(node).pipe(client);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections,
    close: async () => {
      server.close();
      for (const end of ends) end();
      await once(server, 'close');
    },
  };
}

function pathOf({ dialect }: ServerKind): string {
  return dialect === 'engine.io' ? '/engine.io/' : '/socket.io/';
}

function sidIn(text: string): string {
  const sid = /"sid":"([^"]+)"/.exec(text)?.[1];
  if (sid === undefined) throw new Error(`no open packet in ${text}`);
  return sid;
}

/** The text of the first, short frame behind an answer's head, and whether it came compressed. */
function firstFrame(received: string): { readonly deflated: boolean; readonly text: string } {
  const bytes = Buffer.from(received.slice(received.indexOf('\r\n\r\n') + 4), 'latin1');
  const deflated = ((bytes[0] ?? 0) & 0x40) !== 0;
  const length = (bytes[1] ?? 0) & 0x7f;
  // Neither a length of two bytes more nor a second frame: the open packet is small.
  const start = length === 126 ? 4 : 2;
  const end = length === 126 ? 4 + bytes.readUInt16BE(2) : 2 + length;
  const payload = bytes.subarray(start, end);
  if (!deflated) return { deflated, text: payload.toString() };
  const whole = Buffer.concat([payload, Buffer.from([0, 0, 0xff, 0xff])]);
  return {
    deflated,
    text: inflateRawSync(whole, { finishFlush: constants.Z_SYNC_FLUSH }).toString(),
  };
}

afterAll(() => closers.close());

describe.each(pythonServers)('$id', (kind) => {
  const revision = kind.revisions[0] ?? 4;
  let site: Site;
  beforeAll(async () => {
    site = await startSite(kind);
  });

  const target = (query: string): string => `${pathOf(kind)}?EIO=${revision}&${query}`;
  const poll = async (way: Way, query = ''): Promise<string> => {
    const { body } = await ask(site[way] + target(`transport=polling${query}`));
    return body.toString('latin1');
  };
  const post = async (way: Way, sid: string, packet: string): Promise<string> => {
    const body = revision === 4 ? packet : `${packet.length}:${packet}`;
    const url = site[way] + target(`transport=polling&sid=${sid}`);
    const answer = await ask(url, { method: 'POST', body });
    return `${answer.status} ${answer.body.toString('latin1')}`;
  };

  test.each(WAYS)('a session is found with and without packets behind its own: %s', async (way) => {
    const opened = await poll(way);
    if (kind.id === 'python-engineio') {
      const [open, message] = opened.split('\x1e');
      expect(open).toMatch(/^0\{.*\}$/);
      expect(message).toMatch(/^4welcome:node-[12]$/);
    }
    if (kind.id === 'python-eio3') expect(opened).toMatch(/"sid".*"welcome","node-[12]"/s);
    const sid = sidIn(opened);
    for (let round = 0; round < ROUNDS; round += 1) {
      expect(await post(way, sid, revision === 4 ? '3' : '2')).toBe('200 OK');
    }
  });

  test.each(['memory', 'redis'] as const)(
    'a node loses the connection of a poll that is given up: %s',
    async (way) => {
      const sid = sidIn(await poll(way));
      const mark = `given-up-at-${way}`;
      const client = new RawClient(Number(new URL(site[way]).port));
      const query = `transport=polling&sid=${sid}&mark=${mark}`;
      client.send(`GET ${target(query)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`);
      await eventually(() => site.carrying(mark).open === 1, SOON_MS, 'the poll is at a node');
      expect(client.received).toBe('');
      client.close();
      await eventually(() => site.carrying(mark).open === 0, SOON_MS, 'the poll is given up');
      expect(site.carrying(mark).all).toBe(1);
    },
  );

  test.each(WAYS)('a session is found in a first frame that is deflated: %s', async (way) => {
    const client = new RawClient(Number(new URL(site[way]).port));
    try {
      const lines = [
        `GET ${target('transport=websocket')} HTTP/1.1`,
        'Host: 127.0.0.1',
        'Connection: Upgrade',
        'Upgrade: websocket',
        'Sec-WebSocket-Version: 13',
        'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
        'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
      ];
      const before = site.learnt();
      client.send(`${lines.join('\r\n')}\r\n\r\n`);
      const { deflated, text } = firstFrame(await client.until(/\r\n\r\n[^]{90}/));
      expect(deflated).toBe(true);
      const sid = sidIn(text);
      // Only its owner answers like that: line 4 with an empty packet, line 5 with a refusal.
      const ofOwner = revision === 3 ? '\0\u0001\xff6' : '"Unexpected HTTP request"';
      // The frame passes at once: that its session is learnt may come a moment later.
      const expected = way === 'direct' ? before : before + 1;
      await eventually(() => site.learnt() === expected, SOON_MS, 'the session is learnt');
      for (let round = 0; round < ROUNDS; round += 1) {
        expect(await poll(way, `&sid=${sid}`)).toBe(ofOwner);
      }
    } finally {
      client.close();
    }
  });
});
