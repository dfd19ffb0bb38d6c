import { copyFile, cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, BrowserContext, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { startBrowser } from '../../helpers/browser.ts';
import { collectErrors } from '../../helpers/console-errors.ts';
import { startReplica, type Replica } from '../../helpers/replica.ts';
import { buildNettyServer, startNettyNode, type NettyNode } from './server.ts';

/** A chat page with Socket.IO client 2 and jQuery, its own static route, on two netty nodes. */

const OUTPUT = join(import.meta.dirname, '../output');
const ROOT = join(import.meta.dirname, '../../..');

let nodes: NettyNode[] = [];
let directory = '';
let replica: Replica | undefined;
let browser: Browser | undefined;
let context: BrowserContext | undefined;

beforeAll(async () => {
  await buildNettyServer();
  nodes = await Promise.all(['node-1', 'node-2'].map(startNettyNode));
  directory = await assemblePage();
  replica = await startReplica({
    upstreams: nodes.map((node) => node.url),
    routes: [{ path: '/', static: directory }],
  });
  browser = await startBrowser();
  await mkdir(OUTPUT, { recursive: true });
});

afterAll(async () => {
  await browser?.close();
  await replica?.close();
  await Promise.all(nodes.map((node) => node.close()));
  await rm(directory, { recursive: true, force: true });
});

beforeEach(async () => {
  context = await browser?.newContext({ viewport: { width: 800, height: 640 } });
  context?.setDefaultTimeout(15_000);
});

afterEach(async () => {
  await context?.close();
});

/** The page and, from npm, what it loads. */
async function assemblePage(): Promise<string> {
  const require = createRequire(import.meta.url);
  const target = await mkdtemp(join(tmpdir(), 'unsticky-page-'));
  await cp(join(import.meta.dirname, 'public'), target, { recursive: true });
  const files = {
    'socket.io.js': require.resolve('socket.io-client-2/dist/socket.io.js'),
    'jquery.js': require.resolve('jquery/dist/jquery.min.js'),
    'chat.css': join(ROOT, 'examples/chat/public/chat.css'),
    'icon.svg': join(ROOT, 'examples/chat/public/icon.svg'),
  };
  for (const [name, source] of Object.entries(files)) await copyFile(source, join(target, name));
  return target;
}

interface Tab {
  readonly page: Page;
  readonly errors: readonly string[];
}

async function openTab(): Promise<Tab> {
  if (context === undefined) throw new Error('no browser context');
  const page = await context.newPage();
  const errors = collectErrors(page);
  await page.goto(replica?.url ?? '');
  await untilWebSocket(page);
  return { page, errors };
}

async function untilWebSocket(page: Page): Promise<void> {
  await page.locator('#transport').getByText('websocket').waitFor();
  await page
    .locator('#node')
    .getByText(/^node-[12]$/)
    .waitFor();
}

/** Says something and waits until the node has acknowledged and pushed it to this tab. */
async function say(page: Page, name: string, message: string): Promise<void> {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Message', { exact: true }).fill(message);
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText(`acknowledged: ${message}`).waitFor();
  const node = (await page.locator('#node').textContent()) ?? '';
  await page.getByText(`${name} on ${node}${message}`).waitFor();
}

test('two tabs of one browser talk at once, each over a WebSocket of its own', async () => {
  const one = await openTab();
  const two = await openTab();
  const cookies = (await context?.cookies(`${replica?.url ?? ''}/socket.io/`)) ?? [];
  expect(cookies.map(({ name }) => name)).toContain('io');

  for (let round = 0; round < 3; round++) {
    await say(one.page, 'Ada', `first tab, ${String(round)}`);
    await say(two.page, 'Grace', `second tab, ${String(round)}`);
  }
  const tabNodes = await Promise.all(
    [one, two].map(({ page }) => page.locator('#node').textContent()),
  );
  expect(new Set(tabNodes).size, 'nodes of the two tabs').toBe(2);
  for (const { page, errors } of [one, two]) {
    expect(await page.getByText(/^connection \d/).allTextContents()).toHaveLength(1);
    expect(errors).toEqual([]);
  }
  await one.page.screenshot({ path: join(OUTPUT, 'netty-chat.png') });
});

test('tabs on one node read each other', async () => {
  const tabs = [await openTab(), await openTab(), await openTab()];
  const names = await Promise.all(tabs.map(({ page }) => page.locator('#node').textContent()));
  const node = names.find((name, i) => names.indexOf(name) !== i);
  const [one, two] = tabs.filter((_, i) => names[i] === node);
  if (one === undefined || two === undefined) throw new Error('three tabs on three of two nodes');
  await say(one.page, 'Ada', 'hello over there');
  await two.page.getByText('hello over there').waitFor();
  await say(two.page, 'Grace', 'and back');
  await one.page.getByText('and back').waitFor();
});

test('a tab talks again after each of five reloads, and the other tab never notices', async () => {
  const other = await openTab();
  const { page, errors } = await openTab();
  for (let round = 0; round < 5; round++) {
    await page.reload();
    await untilWebSocket(page);
    await say(page, 'Ada', `after reload ${String(round)}`);
    await say(other.page, 'Grace', `still here ${String(round)}`);
  }
  expect(await other.page.getByText(/^connection \d/).allTextContents()).toHaveLength(1);
  expect([...errors, ...other.errors]).toEqual([]);
});

test('a tab that disconnects and connects again by its button talks again', async () => {
  const { page, errors } = await openTab();
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.locator('#state').getByText('disconnected').waitFor();
  await page.getByRole('button', { name: 'Connect' }).click();
  await untilWebSocket(page);
  await say(page, 'Ada', 'back again');
  expect(errors).toEqual([]);
});
