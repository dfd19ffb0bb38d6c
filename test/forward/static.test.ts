import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { StaticRoute } from '../../src/forward/static.ts';
import { RawClient } from '../helpers/raw-client.ts';

let home: string;
let server: Server;
let port: number;

beforeAll(async () => {
  home = await fs.mkdtemp(path.join(os.tmpdir(), 'unsticky-static-'));
  const directory = path.join(home, 'public');
  await fs.mkdir(path.join(directory, 'sub', 'empty'), { recursive: true });
  await fs.mkdir(path.join(home, 'public-not'));
  const files: Readonly<Record<string, string>> = {
    'secret.txt': 'secret',
    'public-not/secret.txt': 'secret',
    'public/index.html': '<p>home',
    'public/app.js': '0123456789',
    'public/.env': 'secret',
    'public/a b+ä.txt': 'odd name',
    'public/sub/index.html': '<p>sub',
  };
  for (const [name, text] of Object.entries(files)) await fs.writeFile(path.join(home, name), text);
  await fs.symlink('../secret.txt', path.join(directory, 'out.txt'));
  await fs.symlink('../public-not', path.join(directory, 'out'));
  await fs.symlink('app.js', path.join(directory, 'in.js'));
  await fs.symlink('loop', path.join(directory, 'loop'));
  await fs.symlink('../../secret.txt', path.join(directory, 'sub', 'empty', 'index.html'));
  execFileSync('mkfifo', [path.join(directory, 'pipe')]);

  const routes = ['/files/', '/bare', '/'].map((prefix) => ({
    prefix,
    route: new StaticRoute({ directory, prefix }),
  }));
  server = createServer((req, res) => {
    routes.find(({ prefix }) => req.url?.startsWith(prefix))?.route.serve(req, res);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await fs.rm(home, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** Sends a target exactly as it is written, which fetch would not. */
async function get(target: string, method = 'GET', ...fields: string[]): Promise<Answer> {
  const lines = [`${method} ${target} HTTP/1.1`, 'Host: a.test', 'Connection: close', ...fields];
  const text = await new RawClient(port).send([...lines, '', ''].join('\r\n')).untilClosed();
  const end = text.indexOf('\r\n\r\n');
  const [status = '', ...rest] = text.slice(0, end).split('\r\n');
  const headers = new Headers(
    rest.map((line) => line.split(/: (.*)/s).slice(0, 2) as [string, string]),
  );
  return { status: Number(status.split(' ')[1]), headers, body: text.slice(end + 4) };
}

describe('a file', () => {
  test('comes with its type, length, validators and a request to ask again', async () => {
    const { status, headers, body } = await get('/app.js');
    expect([status, body]).toEqual([200, '0123456789']);
    expect(headers.get('content-type')).toMatch(/^text\/javascript/);
    expect(headers.get('content-length')).toBe('10');
    expect(headers.get('etag')).toMatch(/^W\/"/);
    expect(headers.get('last-modified')).toMatch(/GMT$/);
    expect(headers.get('accept-ranges')).toBe('bytes');
    expect(headers.get('cache-control')).toBe('no-cache');
    expect(headers.get('x-content-type-options')).toBe('nosniff');
  });

  test('is found under a prefix, with a query, with an odd name, and through a link inside', async () => {
    for (const target of ['/files/app.js', '/bare/app.js', '/app.js?v=1?2', '/in.js']) {
      expect((await get(target)).body).toBe('0123456789');
    }
    expect((await get('/a%20b+%C3%A4.txt')).body).toBe('odd name');
  });

  test('answers HEAD with the header of GET', async () => {
    const { status, headers, body } = await get('/app.js', 'HEAD');
    expect([status, headers.get('content-length'), body]).toEqual([200, '10', '']);
  });

  test('is not sent again to who has it', async () => {
    const { headers } = await get('/app.js');
    const etag = headers.get('etag')!;
    const since = headers.get('last-modified')!;
    for (const field of [`If-None-Match: ${etag}`, `If-Modified-Since: ${since}`]) {
      expect(await get('/app.js', 'GET', field)).toMatchObject({ status: 304, body: '' });
    }
    expect(await get('/app.js', 'GET', 'If-None-Match: "x"')).toMatchObject({ status: 200 });
    expect(await get('/app.js', 'GET', 'If-Match: "x"')).toMatchObject({ status: 412 });
  });

  test('is sent in part on request', async () => {
    const part = await get('/app.js', 'GET', 'Range: bytes=2-4');
    expect([part.status, part.body]).toEqual([206, '234']);
    expect(part.headers.get('content-range')).toBe('bytes 2-4/10');
    const beyond = await get('/app.js', 'GET', 'Range: bytes=20-');
    expect([beyond.status, beyond.headers.get('content-range')]).toEqual([416, 'bytes */10']);
    const stale = await get('/app.js', 'GET', 'Range: bytes=2-4', 'If-Range: "x"');
    expect([stale.status, stale.body]).toEqual([200, '0123456789']);
  });
});

describe('a directory', () => {
  test('is its index', async () => {
    expect((await get('/')).body).toBe('<p>home');
    expect((await get('/files/')).body).toBe('<p>home');
    expect((await get('/files/sub/')).body).toBe('<p>sub');
    expect((await get('/')).headers.get('content-type')).toBe('text/html; charset=utf-8');
  });

  test.each([
    ['/files/sub', '/files/sub/'],
    ['/bare/sub?a=/b', '/bare/sub/?a=/b'],
    ['/bare', '/bare/'],
    ['//sub', '/sub/'],
    ['//evil.test/..', '/evil.test/../'],
    ['/\\evil.test/..', '/evil.test/../'],
  ])('without its slash is sent from %s to %s', async (target, location) => {
    const { status, headers } = await get(target);
    expect([status, headers.get('location')]).toEqual([301, location]);
  });

  test('without an index is not listed', async () => {
    await fs.mkdir(path.join(home, 'public', 'bare-sub'), { recursive: true });
    expect(await get('/files/bare-sub/')).toMatchObject({ status: 404 });
  });
});

describe('what does not exist', () => {
  test.each([
    '/none',
    '/none/',
    '/app.js/',
    '/app.js/more',
    '/.env',
    '/%2eenv',
    '/sub/.git/config',
    '/../secret.txt',
    '/sub/../../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/%2e%2e%2fpublic-not/secret.txt',
    '/files/../secret.txt',
    '/files/%2e%2e%2fsecret.txt',
    '/..%5csecret.txt',
    '/out.txt',
    '/out/secret.txt',
    '/out',
    '/sub/empty/',
    '/loop',
    '/pipe',
    '/bareapp.js',
    `/${'x'.repeat(300)}`,
  ])('%s is a short 404', async (target) => {
    const { status, headers, body } = await get(target);
    expect([status, body]).toEqual([404, 'no route serves this path\n']);
    expect(headers.get('content-type')).toBe('text/plain; charset=utf-8');
    expect(headers.get('etag')).toBeNull();
  });

  test.each(['/%', '/%ff', '/a%00b'])('%s is a 400', async (target) => {
    expect(await get(target)).toMatchObject({ status: 400 });
  });

  test('any file is, if the directory is not there', async () => {
    const route = new StaticRoute({ directory: path.join(home, 'nowhere'), prefix: '/' });
    const other = createServer((req, res) => {
      route.serve(req, res);
    }).listen(0, '127.0.0.1');
    await once(other, 'listening');
    const response = await fetch(
      `http://127.0.0.1:${String((other.address() as AddressInfo).port)}/a`,
    );
    expect(response.status).toBe(404);
    other.close();
    other.closeAllConnections();
  });
});

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])('%s is not allowed', async (method) => {
  const { status, headers } = await get('/app.js', method);
  expect([status, headers.get('allow')]).toEqual([405, 'GET, HEAD']);
});
