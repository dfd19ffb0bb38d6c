import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { CommandLine } from '../helpers/command-line.ts';

const UPSTREAM = 'upstreams: http://127.0.0.1:1\n';

const closers = new Closers();
afterEach(() => closers.close());

describe('a start that fails says why on standard error', () => {
  test('a port in use: 69 and one line', async () => {
    const other = createServer().listen(0, '127.0.0.1');
    await once(other, 'listening');
    closers.add(other);
    const listen = `127.0.0.1:${String((other.address() as AddressInfo).port)}`;
    const program = closers.add(new CommandLine(`${UPSTREAM}listen: ${listen}\n`));
    expect(await program.exit()).toBe(69);
    expect(program.stderr).toBe(
      `unsticky: cannot listen: ${listen}: the port is in use by another program\n`,
    );
  });

  test('a certificate that cannot be read: 78 and one line that names it', async () => {
    const listen = 'listen: {address: 127.0.0.1:0, tls: {cert: no.pem, key: no-key.pem}}\n';
    const program = closers.add(new CommandLine(UPSTREAM + listen));
    expect(await program.exit()).toBe(78);
    expect(program.stderr).toMatch(/^unsticky: .* in the configuration\n/);
    expect(program.stderr).toContain(`${program.folder}/no.pem: no such file or directory`);
    expect(program.stdout).toBe('');
  });

  test('a wrong file: 78 and all that is wrong with it', async () => {
    const program = closers.add(
      new CommandLine('upstream: http://a:1\nlisten: here\nlimits: {body: 5}\n'),
    );
    expect(await program.exit()).toBe(78);
    expect(program.stderr).toMatch(/^unsticky: 4 problems in the configuration\n/);
    for (const place of ['1:1: upstream', '2:9: listen', '3:16: limits.body']) {
      expect(program.stderr).toContain(`unsticky.yaml:${place}: `);
    }
    expect(program.stdout).toBe('');
  });
});
