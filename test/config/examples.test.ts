import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { describe, expect, test } from 'vitest';
import { STARTER } from '../../src/cli/init.ts';
import { knownKeys } from '../../src/config/keys.ts';
import { loadConfig } from '../../src/config/load.ts';

const FOLDER = fileURLToPath(new URL('../../config', import.meta.url));
const FILES = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

const load = (name: string) => loadConfig({ file: name, folder: FOLDER });

describe.each(FILES)('config/%s', (name) => {
  test('is valid', () => {
    expect(load(name).upstreams.length).toBeGreaterThan(0);
  });

  test('tells editors its schema', () => {
    expect(readFileSync(join(FOLDER, name), 'utf8')).toMatch(
      /^# yaml-language-server: \$schema=\.\/unsticky\.schema\.json\n/,
    );
  });
});

test('what unsticky init writes is valid, also with every comment made a key', () => {
  expect(loadConfig({ text: STARTER }).paths).toEqual(['/socket.io/']);
  const everything = STARTER.replace(
    /^# (?=path:|routes:| {2}-|trust|admin|limits|timeouts|log:)/gm,
    '',
  );
  const text = everything.replace('./public', FOLDER);
  expect(loadConfig({ text }).routes).toHaveLength(2);
});

test('config/full.yaml holds every key, set or in a comment', () => {
  const text = readFileSync(join(FOLDER, 'full.yaml'), 'utf8');
  const names = knownKeys().map((key) => key.replace(/^.*\./, ''));
  expect(names.filter((name) => !new RegExp(`\\b${name}:`).test(text))).toEqual([]);
});

test('config/full.yaml sets keys that have a default to that default', () => {
  const text = readFileSync(join(FOLDER, 'full.yaml'), 'utf8');
  const full = parse(text) as Record<string, unknown>;
  const kept = ['balance', 'ioCookie', 'limits', 'timeouts', 'health', 'log', 'workers', 'path'];
  const defaults = loadConfig({ text: 'upstreams: http://127.0.0.1:1' });
  const same = loadConfig({
    text: JSON.stringify({
      ...Object.fromEntries(kept.map((key) => [key, full[key]])),
      upstreams: 'http://127.0.0.1:1',
    }),
  });
  expect(same).toEqual(defaults);
});

describe('the stores of the examples', () => {
  test.each([
    ['unsticky.yaml', 'memory'],
    ['founding.yaml', 'memory'],
    ['redis.yaml', 'single'],
    ['sentinel.yaml', 'sentinel'],
    ['cluster.yaml', 'cluster'],
  ])('%s is %s', (name, kind) => {
    const { store } = load(name);
    expect(store.kind === 'memory' ? 'memory' : store.topology.kind).toBe(kind);
  });
});

test('config/founding.yaml is the founding scenario', () => {
  expect(load('founding.yaml')).toMatchObject({
    listen: [{ host: '0.0.0.0', port: 8099, tls: undefined }],
    upstreams: [{ port: 10_015 }, { port: 10_016 }],
    routes: [{ kind: 'static', path: '/', directory: join(FOLDER, 'public') }],
    limits: { bodyBytes: 10 * 1024 * 1024 },
    timeouts: { upstreamMs: 1_000_000 },
  });
});
