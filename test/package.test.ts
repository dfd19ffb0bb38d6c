import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** The packed package, installed in a folder of its own: what a user gets. */

const root = fileURLToPath(new URL('..', import.meta.url));
const INSTALL_LIMIT_MS = 120_000;
let home = '';

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'unsticky-package-'));
  await writeFile(join(home, 'package.json'), '{ "private": true, "type": "module" }');
  // `npm test` has built dist; packing must not build it anew under the tests that run beside.
  const packed = await run('npm', ['pack', '--ignore-scripts', '--silent', root]);
  const tarball = packed.stdout.trim();
  const installed = await run('npm', [
    ...['install', '--ignore-scripts', '--omit=dev', '--no-audit', '--no-fund', '--prefer-offline'],
    join(home, tarball),
  ]);
  expect(installed.exitCode, installed.stderr).toBe(0);
}, INSTALL_LIMIT_MS);

afterAll(() => rm(home, { recursive: true, force: true }));

test('the installed command tells its version', async () => {
  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  const told = await run('npx', ['--no-install', 'unsticky', '--version']);
  expect(told.stdout.trim(), told.stderr).toBe(manifest.version);
});

test('the installed command accepts the example that comes with it', async () => {
  const example = join(home, 'node_modules/unsticky/config/unsticky.yaml');
  const checked = await runInstalled('check', '-c', example);
  expect(checked.exitCode, checked.stderr).toBe(0);
});

test('the installed command refuses a file with an unknown key, with exit code 78', async () => {
  const file = join(home, 'wrong.yaml');
  await writeFile(file, 'lisen: 127.0.0.1:0\nupstreams: [http://127.0.0.1:1]\n');
  const checked = await runInstalled('check', '-c', file);
  expect(checked.exitCode).toBe(78);
  expect(checked.stderr).toContain('wrong.yaml:1:1');
  expect(checked.stderr).toContain('listen');
});

test('the installed package can be imported', async () => {
  const script = "import('unsticky').then((it) => console.log(Object.keys(it).length > 0))";
  const imported = await run('node', ['--input-type=module', '-e', script]);
  expect(imported.stdout.trim(), imported.stderr).toBe('true');
});

test('the package carries no tests and no sources', async () => {
  const entries = await readdir(join(home, 'node_modules/unsticky'));
  expect(entries.sort()).toEqual(
    [
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin',
      'config',
      'dist',
      'docs',
      'package.json',
    ].sort(),
  );
});

interface Ended {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the installed command: as npx does, without the second that npx takes. */
function runInstalled(...args: string[]): Promise<Ended> {
  return run(join(home, 'node_modules/.bin/unsticky'), args);
}

/** Runs a command in the folder where the package is installed. */
function run(command: string, args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { cwd: home, timeout: INSTALL_LIMIT_MS }, (error, stdout, stderr) => {
      const exitCode = error === null ? 0 : error.code;
      if (typeof exitCode === 'number') resolve({ exitCode, stdout, stderr });
      else reject(new Error(`${command} did not end by itself: ${stderr}`, { cause: error }));
    });
  });
}
