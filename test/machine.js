// Sees to it that the programs the tests run are on this machine; run first by `npm test`.
//   node test/machine.js          what `npm test` needs
//   node test/machine.js --java   what `npm run test:interop` needs on top
// As root on Debian or Ubuntu it installs what is missing; anywhere else it says what to run.
// A test never skips because a program is not there.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const programs = [
  { any: ['redis-server'], debian: 'redis-server', brew: 'redis' },
  { any: ['redis-cli'], debian: 'redis-tools', brew: 'redis' },
  { any: ['nginx'], debian: 'nginx', brew: 'nginx' },
  { any: ['haproxy'], debian: 'haproxy', brew: 'haproxy' },
  { any: ['openssl'], debian: 'openssl', brew: 'openssl' },
  {
    any: [
      'chromium',
      'chromium-browser',
      'google-chrome',
      '/Applications/Chromium.app/Contents/MacOS/Chromium',
      '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    ],
    debian: 'chromium',
    brew: '--cask chromium',
  },
];

const javaPrograms = [
  { any: ['javac'], debian: 'openjdk-17-jdk-headless', brew: 'openjdk@17' },
  { any: ['mvn'], debian: 'maven', brew: 'maven' },
];

// An ordinary user's PATH on Debian leaves out the folder where nginx and haproxy live.
const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin'];

const needed = process.argv.includes('--java') ? [...programs, ...javaPrograms] : programs;
process.exitCode = main();

function main() {
  const missing = needed.filter((program) => !isInstalled(program));
  if (missing.length === 0) return 0;

  say(`missing: ${missing.map(({ any }) => any[0]).join(', ')}`);
  if (!existsSync('/usr/bin/apt-get')) return tellWhatToRun(missing, 'brew');
  if (process.getuid?.() !== 0) return tellWhatToRun(missing, 'debian');

  installQuietly(debianPackages(missing));
  const stillMissing = missing.filter((program) => !isInstalled(program));
  return stillMissing.length === 0 ? 0 : tellWhatToRun(stillMissing, 'debian');
}

function isInstalled({ any }) {
  return any.some((name) =>
    name.startsWith('/')
      ? isExecutable(name)
      : folders.some((folder) => isExecutable(join(folder, name))),
  );
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function debianPackages(missing) {
  return missing.map(({ debian }) => debian);
}

function tellWhatToRun(missing, system) {
  say('install what is missing, then run this again:');
  const command =
    system === 'debian'
      ? `sudo apt-get update && sudo apt-get install -y --no-install-recommends ${debianPackages(missing).join(' ')}`
      : [...new Set(missing.map(({ brew }) => `brew install ${brew}`))].join(' && ');
  console.error(`  ${command}`);
  return 1;
}

/** Installs packages, but starts none of the services that they bring. */
function installQuietly(packages) {
  const policy = '/usr/sbin/policy-rc.d';
  const writesPolicy = !existsSync(policy);
  // Debian's maintainer scripts ask this file before they start a service; 101 means no.
  // An interrupt ends apt-get; this process lives on to take the file away again.
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
  if (writesPolicy) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    aptGet('update');
    aptGet('install', '-y', '--no-install-recommends', ...packages);
  } finally {
    if (writesPolicy) rmSync(policy);
  }
}

function aptGet(...args) {
  say(`apt-get ${args.join(' ')}`);
  const options = ['-q', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Acquire::Retries=3'];
  spawnSync('apt-get', [...options, ...args], {
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    // All of it to stderr: stdout belongs to the test runner.
    stdio: ['ignore', 2, 2],
  });
}

function say(line) {
  console.error(`test/machine.js: ${line}`);
}
