import { EventEmitter, once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo, Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Io, Signal } from '../../src/cli/io.ts';
import { main } from '../../src/cli/main.ts';
import { withDeadline } from '../helpers/deadline.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'unsticky-cli-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

/** A terminal session: what was written, what signals do. */
class Session {
  out = '';
  err = '';
  readonly exits: number[] = [];
  readonly #signals = new EventEmitter();
  readonly #written = new EventEmitter();
  readonly #environment: Io['environment'];

  constructor(environment: Io['environment'] = {}) {
    this.#environment = environment;
  }

  async run(...argv: readonly string[]): Promise<number> {
    return main(argv, {
      stdout: {
        write: (text) => {
          this.out += text;
          this.#written.emit('text');
        },
      },
      stderr: { write: (text) => (this.err += text) },
      environment: this.#environment,
      folder,
      nodeVersion: 'v24.18.1',
      signals: this.#signals,
      exit: (code) => this.exits.push(code),
    });
  }

  /** Resolves with the first log line that has this message, looking from the start. */
  async line(message: string): Promise<Record<string, unknown>> {
    const search = async (): Promise<Record<string, unknown>> => {
      for (;;) {
        const found = this.lines().find((line) => line['msg'] === message);
        if (found !== undefined) return found;
        await once(this.#written, 'text');
      }
    };
    return withDeadline(search(), 5000, `log line: ${message}`);
  }

  lines(): Record<string, unknown>[] {
    const whole = this.out.slice(0, this.out.lastIndexOf('\n') + 1);
    return whole
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  signal(signal: Signal): void {
    this.#signals.emit(signal, signal);
  }

  get listeners(): number {
    return this.#signals.eventNames().length;
  }
}

async function bound(): Promise<{ server: Server; port: number }> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

describe('help', () => {
  test('names commands, options, examples, signals and exit codes', async () => {
    const session = new Session();
    expect(await session.run('--help')).toBe(0);
    for (const text of ['start', 'check', 'init', '--upstream', 'Examples:', 'SIGHUP', '78']) {
      expect(session.out).toContain(text);
    }
    expect(session.out.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  test.each(['start', 'check', 'init'])('of %s exits with 0', async (command) => {
    const session = new Session();
    expect(await session.run(command, '--help')).toBe(0);
    expect(session.out).toContain(`unsticky ${command}`);
  });

  test('is not the version', async () => {
    const session = new Session();
    expect(await session.run('--version')).toBe(0);
    expect(session.out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage exits with 64 and says what is wrong', () => {
  test.each<[argv: readonly string[], message: string]>([
    [['chekc'], 'unknown command "chekc" (did you mean check?)'],
    [['--upstraem', 'http://a'], "unknown option '--upstraem'\n(Did you mean --upstream?)"],
    [['start', '--listen'], "option '--listen <address>' argument missing"],
    [['check', 'a.yaml'], 'too many arguments'],
  ])('%j', async (argv, message) => {
    const session = new Session();
    expect(await session.run(...argv)).toBe(64);
    expect(session.err).toContain(message);
    expect(session.out).toBe('');
  });
});

describe('init', () => {
  test('writes a file that check accepts', async () => {
    const session = new Session();
    expect(await session.run('init')).toBe(0);
    expect(await session.run('check')).toBe(0);
    expect(session.out).toContain('unsticky.yaml is valid');
  });

  test('overwrites nothing unless forced', async () => {
    writeFileSync(join(folder, 'mine.yaml'), 'precious');
    const session = new Session();
    expect(await session.run('init', 'mine.yaml')).toBe(73);
    expect(session.err).toBe(
      'unsticky: cannot write mine.yaml: it exists already (--force overwrites it)\n',
    );
    expect(readFileSync(join(folder, 'mine.yaml'), 'utf8')).toBe('precious');
    expect(await session.run('init', 'mine.yaml', '--force')).toBe(0);
    expect(readFileSync(join(folder, 'mine.yaml'), 'utf8')).toContain('upstreams:');
  });

  test('says why it cannot write', async () => {
    const session = new Session();
    expect(await session.run('init', 'no/such/folder.yaml')).toBe(73);
    expect(session.err).toBe('unsticky: cannot write no/such/folder.yaml: ENOENT\n');
    expect(existsSync(join(folder, 'no'))).toBe(false);
  });
});

describe('check', () => {
  test('says what a configuration means, without its password', async () => {
    const session = new Session({ UNSTICKY_STORE: 'redis://:hunter2@cache/3' });
    expect(await session.run('check', '--upstream', 'http://a:1')).toBe(0);
    expect(session.out).toContain('upstreams     a:1  http://a:1  weight 1\n');
    expect(session.out).toContain('store         Redis at redis://cache:6379, database 3\n');
    expect(session.out + session.err).not.toContain('hunter2');
  });

  test('tells all problems with their places, and exits with 78', async () => {
    writeFileSync(join(folder, 'a.yaml'), 'upstream: http://a:1\nlisten: x\n');
    const session = new Session();
    expect(await session.run('check', '-c', 'a.yaml')).toBe(78);
    expect(session.err).toMatch(/^unsticky: 3 problems in the configuration\n/);
    expect(session.err).toContain('a.yaml:1:1: upstream: unknown key "upstream"');
    expect(session.err).toContain('a.yaml:2:9: listen: expected an address');
    expect(session.out).toBe('');
  });

  test('without a file or an upstream says how to begin', async () => {
    const session = new Session();
    expect(await session.run('check')).toBe(78);
    expect(session.err).toContain('"unsticky init" writes one');
  });

  test('finds the file named in the environment', async () => {
    writeFileSync(join(folder, 'b.yaml'), 'upstreams: http://b:1\n');
    const session = new Session({ UNSTICKY_CONFIG: 'b.yaml' });
    expect(await session.run('check')).toBe(0);
    expect(session.out).toContain('http://b:1');
  });
});

describe('start', () => {
  const ANY = ['--listen', '127.0.0.1:0', '--upstream', 'http://127.0.0.1:1'];

  test('listens, says where, and ends with 0 at SIGTERM', async () => {
    const session = new Session();
    const ended = session.run(...ANY);
    const { url } = await session.line('listening');
    expect(await session.line('started')).toMatchObject({
      upstreams: ['http://127.0.0.1:1'],
      store: 'memory (for one replica)',
    });
    const answer = await fetch(`${String(url)}/nowhere`);
    expect(answer.status).toBe(404);
    session.signal('SIGTERM');
    expect(await withDeadline(ended, 5000, 'end after SIGTERM')).toBe(0);
    expect(session.listeners).toBe(0);
    expect(session.exits).toEqual([]);
  });

  test('with a file and without the word start is the same', async () => {
    writeFileSync(join(folder, 'unsticky.yml'), 'upstreams: http://127.0.0.1:1\nlisten: 0\n');
    const session = new Session();
    const ended = session.run();
    expect(await session.line('started')).toMatchObject({ file: 'unsticky.yml' });
    session.signal('SIGINT');
    expect(await withDeadline(ended, 5000, 'end after SIGINT')).toBe(0);
  });

  test('that gets its signal before it listens still ends', async () => {
    const session = new Session();
    const ended = session.run(...ANY);
    session.signal('SIGTERM');
    expect(await withDeadline(ended, 5000, 'end after an early SIGTERM')).toBe(0);
  });

  test.each<[Signal, number]>([
    ['SIGTERM', 143],
    ['SIGINT', 130],
  ])('a second %s ends at once with %i, whatever is open', async (signal, code) => {
    const upstream = http.createServer(() => undefined).listen(0, '127.0.0.1');
    await once(upstream, 'listening');
    const { port } = upstream.address() as AddressInfo;
    const session = new Session();
    const ended = session.run('--listen', '0', '--upstream', `http://127.0.0.1:${String(port)}`);
    const { url } = await session.line('listening');
    const asked = once(upstream, 'request');
    const held = fetch(`${String(url)}/socket.io/?EIO=4&transport=polling`).catch(String);
    await withDeadline(asked, 5000, 'request at the upstream');
    session.signal(signal);
    session.signal(signal);
    expect(await withDeadline(ended, 5000, 'end after a second signal')).toBe(code);
    await withDeadline(held, 5000, 'end of the request');
    expect(session.exits).toEqual([code]);
    upstream.closeAllConnections();
    upstream.close();
  });

  test('reads the file again at SIGHUP, and keeps the old one if it is invalid', async () => {
    const file = join(folder, 'a.yaml');
    writeFileSync(file, 'upstreams: http://127.0.0.1:1\nlisten: 0\n');
    const session = new Session();
    const ended = session.run('-c', 'a.yaml');
    await session.line('started');
    writeFileSync(file, 'upstreams: http://127.0.0.1:1\nlisten: 0\nbalance: rondom\n');
    session.signal('SIGHUP');
    expect(
      await session.line('configuration is invalid: the old one stays in force'),
    ).toMatchObject({
      problems: [expect.stringContaining('a.yaml:3:10: balance: ') as string],
    });
    writeFileSync(file, 'upstreams: http://127.0.0.1:2\nlisten: 8099\nlog: {level: warn}\n');
    session.signal('SIGHUP');
    await session.line('configuration reloaded');
    expect(await session.line('these keys need a restart to take effect')).toMatchObject({
      keys: ['listen', 'log.level'],
    });
    session.signal('SIGTERM');
    expect(await withDeadline(ended, 5000, 'end')).toBe(0);
  });

  test('without a file ends at SIGHUP, because its terminal is gone', async () => {
    const session = new Session();
    const ended = session.run(...ANY);
    await session.line('started');
    session.signal('SIGHUP');
    expect(await withDeadline(ended, 5000, 'end after SIGHUP')).toBe(0);
  });
});

describe('a start that fails says why in one line', () => {
  test('address in use: 69', async () => {
    const { server, port } = await bound();
    const session = new Session();
    const listen = `127.0.0.1:${String(port)}`;
    expect(await session.run('--listen', listen, '--upstream', 'http://127.0.0.1:1')).toBe(69);
    expect(session.err).toBe(
      `unsticky: cannot listen: ${listen}: the port is in use by another program\n`,
    );
    expect(session.listeners).toBe(0);
    server.close();
  });

  test('no Redis though it is required: 69', async () => {
    const { server, port } = await bound();
    server.close();
    await once(server, 'close');
    const redis = `redis://:hunter2@127.0.0.1:${String(port)}`;
    writeFileSync(
      join(folder, 'a.yaml'),
      `upstreams: http://127.0.0.1:1\nlisten: 0\nstore: {required: true, redis: {url: "${redis}"}}\n`,
    );
    const session = new Session();
    const ended = session.run('-c', 'a.yaml');
    expect(await withDeadline(ended, 10_000, 'end without Redis')).toBe(69);
    expect(session.err).toMatch(/^unsticky: store\.required is set and .*\n$/);
    expect(session.err + session.out).not.toContain('hunter2');
  });

  test('unreadable certificate: 78', async () => {
    writeFileSync(
      join(folder, 'a.yaml'),
      'upstreams: http://127.0.0.1:1\nlisten: {address: 0, tls: {cert: c.pem, key: k.pem}}\n',
    );
    const session = new Session();
    expect(await session.run('-c', 'a.yaml')).toBe(78);
    expect(session.err).toContain(
      `a.yaml:2:34: listen.tls.cert: cannot use the certificate ${folder}/c.pem: no such file or directory`,
    );
  });
});
