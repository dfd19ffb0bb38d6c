import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { startBrowser } from '../helpers/browser.ts';
import { collectErrors } from '../helpers/console-errors.ts';
import { withFreePort } from '../helpers/free-port.ts';
import { startProcess, type RunningProcess } from '../helpers/process.ts';

/** `npm run demo` as a visitor sees it. */

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 });

const DEMO = join(import.meta.dirname, '../../examples/chat/demo.js');
const OUTPUT = join(import.meta.dirname, '../interop/output');

let demo: RunningProcess | undefined;
let url = '';
let browser: Browser | undefined;
const contexts: BrowserContext[] = [];

beforeAll(async () => {
  demo = await withFreePort(async (port) => {
    url = `http://127.0.0.1:${String(port)}/`;
    return startDemo(['--port', String(port), '--servers', '0,0', '--restart', '8']);
  });
  browser = await startBrowser();
  await mkdir(OUTPUT, { recursive: true });
});

afterEach(async () => {
  await Promise.all(contexts.splice(0).map((context) => context.close()));
});

afterAll(async () => {
  await browser?.close();
  await demo?.close();
});

async function startDemo(args: readonly string[]): Promise<RunningProcess> {
  return startProcess(process.execPath, [DEMO, ...args], { ready: /Ctrl-C ends everything/ });
}

interface Tab {
  readonly page: Page;
  readonly errors: readonly string[];
}

async function openContext(options: BrowserContextOptions = {}): Promise<BrowserContext> {
  if (browser === undefined) throw new Error('no browser');
  const context = await browser.newContext({ viewport: { width: 1000, height: 720 }, ...options });
  context.setDefaultTimeout(15_000);
  contexts.push(context);
  return context;
}

async function openTab(context: BrowserContext): Promise<Tab> {
  const page = await context.newPage();
  const errors = collectErrors(page);
  await page.goto(url);
  await page.locator('#transport').getByText('websocket').waitFor();
  await page
    .locator('#server')
    .getByText(/^chat-[12]$/)
    .waitFor();
  return { page, errors };
}

async function say(page: Page, name: string, message: string): Promise<void> {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Message', { exact: true }).fill(message);
  await page.getByRole('button', { name: 'Send' }).click();
}

async function serverOf({ page }: Tab): Promise<string | null> {
  return page.locator('#server').textContent();
}

test('two tabs chat across the two servers over WebSocket', async () => {
  const context = await openContext();
  const one = await openTab(context);
  const two = await openTab(context);
  const servers = await Promise.all([serverOf(one), serverOf(two)]);
  expect(servers.toSorted()).toEqual(['chat-1', 'chat-2']);

  await say(one.page, 'Ada', 'Hello from the first tab.');
  await two.page.getByText(`Ada on ${String(servers[0])}Hello from the first tab.`).waitFor();
  await say(two.page, 'Grace', 'And hello from the second one.');
  await one.page.getByText(`Grace on ${String(servers[1])}And hello`).waitFor();
  await one.page.getByText(`you on ${String(servers[0])}Hello`).waitFor();

  await one.page.screenshot({ path: join(OUTPUT, 'demo.png') });
  expect([...one.errors, ...two.errors]).toEqual([]);
});

test('what people type is shown as text, never run as markup', async () => {
  const { page, errors } = await openTab(await openContext());
  const markup = '<img src="x" onerror="document.title=\'run\'"><b>bold</b>';
  await say(page, '<i>Mallory</i>', markup);
  await page.getByText(markup).waitFor();
  expect(await page.locator('#log img, #log .author i').count()).toBe(0);
  expect(await page.title()).toContain('Chat');
  expect(errors).toEqual([]);
});

test('a visitor who disconnects and connects again goes on chatting', async () => {
  const { page, errors } = await openTab(await openContext());
  await page.getByRole('button', { name: 'Disconnect' }).click();
  await page.locator('#state').getByText('disconnected').waitFor();
  expect(await page.getByRole('button', { name: 'Send' }).isDisabled()).toBe(true);
  await page.getByRole('button', { name: 'Connect' }).click();
  await page.locator('#transport').getByText('websocket').waitFor();
  await say(page, 'Ada', 'back again');
  await page.getByText(/^you on chat-[12]back again$/).waitFor();
  expect(errors).toEqual([]);
});

test('when a server is killed its tab goes on with the other, and the server comes back', async () => {
  const context = await openContext();
  const one = await openTab(context);
  const two = await openTab(context);
  const [lost, kept] = [await serverOf(one), await serverOf(two)];
  expect(lost).not.toBe(kept);
  const command = await one.page.locator('.servers .mine code').textContent();
  process.kill(Number(/^kill (\d+)$/.exec(command ?? '')?.[1]));

  await one.page.getByText(`now on ${String(kept)}, before on ${String(lost)}`).waitFor();
  await one.page.locator('#transport').getByText('websocket').waitFor();
  await say(one.page, 'Ada', 'still here');
  await two.page.getByText(`Ada on ${String(kept)}still here`).waitFor();
  await two.page.getByText(`${String(lost)} is down`).waitFor({ state: 'detached' });

  expect(two.errors).toEqual([]);
  const network = /^(Failed to load resource|WebSocket connection to)/;
  expect(one.errors.filter((error) => !network.test(error))).toEqual([]);
});

test.each(['light', 'dark'] as const)('fits a phone, %s', async (colorScheme) => {
  const viewport = { width: 375, height: 700 };
  const { page } = await openTab(await openContext({ viewport, colorScheme }));
  await say(page, 'Grace', `A word that is ${'very'.repeat(30)} long, and a sentence that wraps.`);
  await page.getByText(/sentence that wraps/).waitFor();
  await page.screenshot({ path: join(OUTPUT, `demo-phone-${colorScheme}.png`) });
  for (const part of ['header', '.servers', '#log', '#message', '#connection']) {
    const box = await page.locator(part).boundingBox();
    expect(box?.x, part).toBeGreaterThanOrEqual(0);
    expect((box?.x ?? 0) + (box?.width ?? 0), part).toBeLessThanOrEqual(viewport.width);
    expect((box?.y ?? 0) + (box?.height ?? 0), part).toBeLessThanOrEqual(viewport.height);
  }
});

test('a port in use is named in one line', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const address = taken.address();
  const port = typeof address === 'object' ? String(address?.port) : '';
  try {
    await expect(startDemo(['--port', port, '--servers', '0,0'])).rejects.toThrow(
      new RegExp(`ended with 1 before it was ready:\ndemo: port ${port} is in use; [^\n]+\n$`),
    );
  } finally {
    taken.close();
  }
});

test('Ctrl-C ends the servers and the router', async () => {
  let port = 0;
  const other = await withFreePort(async (free) => {
    port = free;
    return startDemo(['--port', String(free), '--servers', '0,0']);
  });
  const pids = [...other.output().matchAll(/kill (\d+)/g)].map((match) => Number(match[1]));
  await other.close('SIGINT');
  expect(pids).toHaveLength(2);
  for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
  const [refusal] = (await once(connect(port, '127.0.0.1'), 'error')) as [NodeJS.ErrnoException];
  expect(refusal.code).toBe('ECONNREFUSED');
});
