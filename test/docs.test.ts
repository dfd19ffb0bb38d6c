import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { processIo } from '../src/cli/io.ts';
import { main } from '../src/cli/main.ts';
import { loadConfig } from '../src/config/load.ts';
import { ERRORS } from '../src/errors.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const pages = [...markdownIn('.'), ...markdownIn('docs')];

describe('docs/errors.md', () => {
  test('lists exactly the codes of src/errors.ts, with status, source and retry', () => {
    const listed = [
      ...read('docs/errors.md').matchAll(/^\| `(\w+)` +\| (\d+) +\| (\w+) +\| (\w+) +\|/gm),
    ].map(([, code, status, source, retry]) => `${code!} ${status!} ${source!} ${retry!}`);
    const real = Object.entries(ERRORS).map(
      ([code, kind]) => `${code} ${kind.status} ${kind.source} ${kind.retryable ? 'yes' : 'no'}`,
    );
    expect(listed.sort()).toEqual(real.sort());
  });
});

describe('README.md', () => {
  const folder = mkdtempSync(join(tmpdir(), 'unsticky-readme-'));
  mkdirSync(join(folder, 'public'));
  afterAll(() => rmSync(folder, { recursive: true }));

  test.each(blocksOf('README.md', 'yaml'))('shows a configuration that loads:\n%s', (text) => {
    expect(loadConfig({ file: 'unsticky.yaml', text, folder }).upstreams).toHaveLength(2);
  });
});

test('every command and flag that a page shows stands in --help', async () => {
  let help = '';
  const io = { ...processIo(), stdout: { write: (text: string) => (help += text) } };
  expect(await main(['--help'], io)).toBe(0);

  const commands = pages
    .flatMap((page) => blocksOf(page, 'sh'))
    .flatMap((block) => [...block.matchAll(/^(?:npx )?unsticky (.+)$/gm)].map(([, line]) => line!));
  expect(commands.length).toBeGreaterThan(3);
  for (const command of commands) {
    const [word = ''] = command.split(' ');
    if (!word.startsWith('-')) expect(help).toMatch(new RegExp(`^ +${word}\\b`, 'm'));
    for (const [flag] of command.matchAll(/(?<=^| )--?[a-z-]+/g)) expect(help).toContain(flag);
  }
});

test('every script that a page names exists', () => {
  const { scripts } = JSON.parse(read('package.json')) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) => [...read(page).matchAll(/npm run ([\w:]+)/g)]);
  expect(named.length).toBeGreaterThan(2);
  for (const [, script] of named) expect(Object.keys(scripts)).toContain(script);
});

describe('links', () => {
  test.each(pages)('of %s lead somewhere', (page) => {
    for (const link of linksOf(page)) {
      const [path = '', anchor] = link.split('#');
      const target = path === '' ? page : join(dirname(page), path);
      expect(existsSync(join(root, target)), `${page}: ${link}`).toBe(true);
      if (anchor !== undefined) expect(anchorsOf(target), `${page}: ${link}`).toContain(anchor);
    }
  });
});

function markdownIn(folder: string): string[] {
  return readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
}

function read(page: string): string {
  return readFileSync(join(root, page), 'utf8');
}

/** The fenced blocks of a language. */
function blocksOf(page: string, language: string): string[] {
  const fence = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, 'gms');
  return [...read(page).matchAll(fence)].map(([, block]) => block!);
}

/** Links to files of this repository and to headings. */
function linksOf(page: string): string[] {
  return [...read(page).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, link]) => link!)
    .filter((link) => !/^[a-z]+:/.test(link));
}

/** The anchors that the headings of a page get. */
function anchorsOf(page: string): string[] {
  return [...read(page).matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
