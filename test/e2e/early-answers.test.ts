import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeCertificate } from '../helpers/certificate.ts';
import { Closers } from '../helpers/closers.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

/** Much more than the sockets between a client and the router can hold. */
const UPLOAD = Buffer.alloc(20 * 1024 * 1024, 'x');
const UPLOADS = 10;
const UNKNOWN_SESSION = '/socket.io/?EIO=4&transport=polling&sid=nobodyKnowsThisOne00';

const closers = new Closers();
let router: TestRouter;

beforeAll(async () => {
  const directory = mkdtempSync(join(tmpdir(), 'unsticky-static-'));
  closers.add({ close: () => rmSync(directory, { recursive: true }) });
  writeFileSync(join(directory, 'a.txt'), 'a');
  const refusing = closers.add(
    await startRawUpstream((socket) => {
      onRequestHead(socket, () => {
        socket.write('HTTP/1.1 403 No\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno.');
      });
    }),
  );
  const upstream = closers.add(await startPatientUpstream('chat'));
  router = closers.add(
    await startTestRouter({
      upstreams: upstream.url,
      routes: [
        { path: '/app/', proxy: `http://127.0.0.1:${String(refusing.port)}` },
        { path: '/s/', static: directory },
      ],
    }),
  );
});
afterAll(() => closers.close());

async function upload(path: string, connection: string): Promise<number> {
  const answered = new Promise<number>((resolve, reject) => {
    const request = http.request(`${router.url}${path}`, {
      method: 'POST',
      agent: false,
      headers: { connection, 'content-length': UPLOAD.length },
    });
    request.on('error', reject);
    request.on('response', (response) => {
      response.on('error', reject).resume();
      response.on('end', () => {
        resolve(response.statusCode ?? 0);
      });
    });
    request.end(UPLOAD);
  });
  return withDeadline(answered, 15_000, 'an answer to the upload');
}

test.each([
  ['a session that nobody knows', UNKNOWN_SESSION, 400],
  ['a file', '/s/a.txt', 405],
  ['an app that refuses it before its end', '/app/', 403],
  ['nothing', '/nothing', 404],
])('an upload to %s gets its answer, not a reset', async (_name, path, status) => {
  for (const connection of ['keep-alive', 'close']) {
    const statuses = new Set<number>();
    for (let i = 0; i < UPLOADS; i += 1) statuses.add(await upload(path, connection));
    expect([connection, ...statuses]).toEqual([connection, status]);
  }
});

test('a refused body without end is cut off, and not answered twice', async () => {
  const client = new RawClient(router.port);
  client.send(`POST ${UNKNOWN_SESSION} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n`);
  const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
  let sent = 0;
  const pump = (): void => {
    while (client.socket.writable && client.socket.write(chunk)) sent += chunk.length;
    client.socket.once('drain', pump);
  };
  pump();
  await client.untilClosed();
  expect(client.statuses).toEqual([400]);
  expect(sent).toBeLessThan(256 * 1024 * 1024);
});

test('a client that says nothing to a TLS listener does not hold up the end', async () => {
  const certificate = closers.add(makeCertificate());
  const tls = { cert: certificate.certFile, key: certificate.keyFile };
  const upstream = closers.add(await startPatientUpstream('chat'));
  const secure = await startTestRouter({
    listen: { address: '127.0.0.1:0', tls },
    upstreams: upstream.url,
    timeouts: { shutdown: '200ms' },
  });
  const mute = net.connect(secure.port, '127.0.0.1');
  mute.on('error', () => undefined);
  closers.add({ close: () => mute.destroy() });
  await new Promise((resolve) => mute.once('connect', resolve));
  await withDeadline(secure.router.close(), 3000, 'the router has ended');
});
