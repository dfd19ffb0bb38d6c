import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import https from 'node:https';
import type { AddressInfo } from 'node:net';
import { Server } from 'socket.io';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeCertificate } from '../helpers/certificate.ts';
import type { Certificate } from '../helpers/certificate.ts';
import { connectClient, upgraded, WAYS } from '../helpers/clients.ts';
import { Closers } from '../helpers/closers.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { startNode } from '../helpers/nodes.ts';
import { ask, pollingTarget } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startTestRouter } from '../helpers/router.ts';

const closers = new Closers();
let certificate: Certificate;
/** A Socket.IO server behind a certificate that nobody trusts by itself. */
let secureUpstream: string;
/** The built command line, told to trust it, with the same certificate in front. */
let program: CommandLine;
let url: string;

beforeAll(async () => {
  certificate = closers.add(makeCertificate());
  secureUpstream = await startSecureNode();
  program = closers.add(
    new CommandLine(
      { listen: listener('127.0.0.1:0'), upstreams: secureUpstream },
      { NODE_EXTRA_CA_CERTS: certificate.certFile },
    ),
  );
  url = await program.url();
});
afterAll(() => closers.close());

function listener(address: string): object {
  return { address, tls: { cert: certificate.certFile, key: certificate.keyFile } };
}

async function startSecureNode(): Promise<string> {
  const server = https.createServer({ cert: certificate.cert, key: certificate.key });
  const io = closers.add(new Server(server));
  io.on('connection', (socket) => {
    socket.on('headers', (answer: (headers: object) => void) => {
      answer(socket.handshake.headers);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return `https://localhost:${String((server.address() as AddressInfo).port)}`;
}

test('the listener says that it speaks TLS', () => {
  expect(url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
});

test.each(WAYS)(
  'TLS in front and behind, and the server hears of it: %s',
  async (_way, transports) => {
    const socket = await connectClient(url, { transports, ca: certificate.cert });
    closers.add(socket);
    const headers = (await socket.timeout(5_000).emitWithAck('headers')) as object;
    expect(headers).toMatchObject({
      'x-forwarded-proto': 'https',
      'x-forwarded-for': '127.0.0.1',
      'x-forwarded-host': new URL(url).host,
      host: new URL(url).host,
    });
    if (transports.length > 1) await upgraded(socket);
  },
);

describe('in front only', () => {
  test('the server behind hears of https', async () => {
    const node = closers.add(await startNode('plain'));
    const handshake = once(node.io.engine, 'connection') as Promise<
      [{ request: { headers: object } }]
    >;
    const front = closers.add(
      await startTestRouter({
        upstreams: node.url,
        listen: listener('127.0.0.1:0'),
        // A handshake of the router's own would be taken for the client's.
        health: { check: 'tcp' },
      }),
    );
    const secureUrl = front.url.replace('http:', 'https:');
    closers.add(await connectClient(secureUrl, { ca: certificate.cert }));
    const [{ request }] = await handshake;
    expect(request.headers).toMatchObject({ 'x-forwarded-proto': 'https' });
  });

  test('whoever speaks no TLS, or nothing at all, is cut off', async () => {
    const front = closers.add(
      await startTestRouter({
        upstreams: 'http://127.0.0.1:1',
        listen: listener('127.0.0.1:0'),
        timeouts: { clientHeader: '300ms', clientRequest: '300ms' },
      }),
    );
    const plain = closers.add(new RawClient(front.port)).send('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    const mute = closers.add(new RawClient(front.port));
    expect(await plain.untilClosed()).not.toContain('HTTP/1.1');
    expect(await mute.untilClosed()).toBe('');
  });
});

test('an upstream whose certificate is not trusted gets nothing, and the log says why', async () => {
  const front = closers.add(await startTestRouter({ upstreams: secureUpstream }));
  const { status, body } = await ask(pollingTarget(front.url));
  expect([status, JSON.parse(body.toString())]).toMatchObject([502, { code: 'UPSTREAM_CONNECT' }]);
  expect(JSON.stringify(front.lines)).toMatch(/self.signed certificate/);
});

describe('a certificate that cannot be used ends the start and is named', () => {
  test('a key of another certificate', async () => {
    const other = closers.add(makeCertificate());
    const tls = { cert: certificate.certFile, key: other.keyFile };
    const started = startTestRouter({ upstreams: secureUpstream, listen: { address: 0, tls } });
    await expect(started).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(other.keyFile) as string,
    });
  });

  test('a file that holds none', async () => {
    const broken = closers.add(makeCertificate());
    writeFileSync(broken.certFile, 'no certificate');
    const tls = { cert: broken.certFile, key: broken.keyFile };
    const started = startTestRouter({ upstreams: secureUpstream, listen: { address: 0, tls } });
    await expect(started).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining(broken.certFile) as string,
    });
  });
});
