import { afterAll, beforeAll, expect, test } from 'vitest';
import { runCrowd } from './crowd.ts';
import { startNginx } from './nginx.ts';
import { buildNettyServer, startNettyNode, type NettyNode } from './server.ts';

/** What the founding scenario looks like without the router: nginx in its place. */

let nodes: NettyNode[] = [];
let nginx: Awaited<ReturnType<typeof startNginx>> | undefined;

beforeAll(async () => {
  await buildNettyServer();
  nodes = await Promise.all(['node-1', 'node-2'].map(startNettyNode));
  nginx = await startNginx(nodes.map((node) => node.port));
});

afterAll(async () => {
  await nginx?.close();
  await Promise.all(nodes.map((node) => node.close()));
});

test.each([
  ['polling only', 0],
  ['polling then websocket', 0],
  ['websocket only', 50],
] as const)('behind nginx round robin, %s: %i of 50 clients are served', async (mode, served) => {
  const result = await runCrowd(nginx?.url ?? '', mode);
  expect(result.served, result.failures.join('\n')).toBe(served);
});
