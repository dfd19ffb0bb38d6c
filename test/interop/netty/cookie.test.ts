import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import type { ClientSocket } from 'socket.io-client-2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { withDeadline } from '../../helpers/deadline.ts';
import { startRedis, type RedisServer } from '../../helpers/redis.ts';
import { startReplica, type Replica } from '../../helpers/replica.ts';
import { ask, connectClient } from './crowd.ts';
import { close, handshake, whoAmI, type WhoAmI } from './polling.ts';
import { buildNettyServer, startNettyNode, type NettyNode } from './server.ts';

/**
 * netty-socketio takes the sid of a new session from the `io` cookie, so that one sid is opened
 * again, on another node too, and two tabs of one browser share it.
 */

let redis: RedisServer | undefined;
let nodes: NettyNode[] = [];
let witnesses: ClientSocket[] = [];
const replicas: Replica[] = [];

beforeAll(async () => {
  await buildNettyServer();
  redis = await startRedis();
  nodes = await Promise.all(['node-1', 'node-2'].map(startNettyNode));
  witnesses = await Promise.all(nodes.map((node) => connectClient(node.url, 'websocket only')));
});

afterAll(async () => {
  for (const witness of witnesses) witness.disconnect();
  await Promise.all(replicas.map((replica) => replica.close()));
  await Promise.all(nodes.map((node) => node.close()));
  await redis?.close();
});

async function startReplicas(ioCookie: 'pass' | 'withhold' | undefined): Promise<[string, string]> {
  const config = {
    store: { redis: { url: redis?.url, keyPrefix: `${randomUUID()}:` } },
    upstreams: nodes.map((node) => ({ id: node.name, url: node.url })),
    balance: 'round-robin',
    health: { check: 'tcp' },
    ...(ioCookie === undefined ? {} : { ioCookie }),
  };
  const pair = await Promise.all([startReplica(config), startReplica(config)]);
  replicas.push(...pair);
  return [pair[0].url, pair[1].url];
}

/** What the nodes say themselves, asked past the router. */
async function askNodes(): Promise<WhoAmI[]> {
  return Promise.all(witnesses.map(async (node) => (await ask(node, 'whoami', '')) as WhoAmI));
}

/** Handshakes with the cookie until a node other than `node` has opened the session; resolves with its name. */
async function moveSession(url: string, sid: string, node: string): Promise<string> {
  for (let attempt = 0; attempt < 4; attempt++) {
    const before = await askNodes();
    expect(await handshake(url, sid)).toBe(sid);
    const after = await askNodes();
    const opener = after.find(({ opened }, i) => opened > (before[i]?.opened ?? 0))?.node;
    if (opener !== undefined && opener !== node) return opener;
  }
  throw new Error('four handshakes in a row went to the same node');
}

test('a sid opened again on another node through one replica is routed there by the other, 50 times', async () => {
  const [first, second] = await startReplicas('pass');
  let misrouted = 0;
  for (let round = 0; round < 50; round++) {
    const sid = randomUUID();
    expect(await handshake(first, sid)).toBe(sid);
    const { node } = await whoAmI(second, sid);
    const owner = await moveSession(first, sid, node);
    if ((await whoAmI(second, sid)).node !== owner) misrouted++;
    await close(second, sid);
  }
  expect(misrouted).toBe(0);
});

test('the end of the old WebSocket of a sid does not unbind its new session, 20 times', async () => {
  const [first, second] = await startReplicas('pass');
  let misrouted = 0;
  for (let round = 0; round < 20; round++) {
    const sid = randomUUID();
    await handshake(first, sid);
    const { node } = await whoAmI(second, sid);
    const socket = await upgrade(second, sid);
    const owner = await moveSession(first, sid, node);
    socket.close();
    await withDeadline(once(socket, 'close'), 5000, 'WebSocket closed');
    for (const url of [second, first, second]) {
      if ((await whoAmI(url, sid)).node !== owner) misrouted++;
    }
    await close(second, sid);
  }
  expect(misrouted).toBe(0);
});

test('by default two sessions with one cookie get two sids, and both are served', async () => {
  const [first, second] = await startReplicas(undefined);
  const cookie = await handshake(first, undefined);
  const others = [await handshake(first, cookie), await handshake(second, cookie)];
  const sids = [cookie, ...others];
  expect(new Set(sids).size).toBe(3);
  const nodesOfSids = await Promise.all(sids.map((sid) => whoAmI(second, sid)));
  expect(new Set(nodesOfSids.map(({ node }) => node)).size).toBe(2);
});

/** Moves a polling session to a WebSocket, as a client does. */
async function upgrade(url: string, sid: string): Promise<WebSocket> {
  const query = `EIO=3&transport=websocket&sid=${sid}`;
  const socket = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?${query}`);
  await withDeadline(once(socket, 'open'), 5000, 'WebSocket open');
  socket.send('2probe');
  const [answer] = (await withDeadline(once(socket, 'message'), 5000, 'probe answer')) as [Buffer];
  expect(answer.toString()).toBe('3probe');
  socket.send('5');
  return socket;
}
