import { createHash, randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connectClient, upgraded, WAYS } from '../helpers/clients.ts';
import { Closers } from '../helpers/closers.ts';
import { startNode } from '../helpers/nodes.ts';
import { startRedis } from '../helpers/redis.ts';
import { startRoundRobin } from '../helpers/round-robin.ts';
import { startTestRouter } from '../helpers/router.ts';

const SIZES = [1, 100, 16 * 1024, 64 * 1024 + 1, 1024 * 1024, 5 * 1024 * 1024];

const closers = new Closers();
let url: string;

beforeAll(async () => {
  const nodes = [
    closers.add(await startNode('node-1', { maxHttpBufferSize: 10e6 })),
    closers.add(await startNode('node-2', { maxHttpBufferSize: 10e6 })),
  ];
  for (const { io } of nodes) {
    io.on('connection', (socket) => {
      socket.on('measure', (payload: Payload, answer: (hash: string) => void) => {
        answer(sha256(payload));
      });
      // The other way round: the server sends, the client acknowledges with what it got.
      socket.on('send', (kind: Kind, size: number, answer: (hashes: Hashes) => void) => {
        const payload = make(kind, size);
        socket.emit('large', payload, (got: string) => {
          answer({ sent: sha256(payload), got });
        });
      });
    });
  }
  const redis = closers.add(await startRedis());
  const keys = { upstreams: nodes.map((node) => node.url), store: redis.url };
  const replicas = [
    closers.add(await startTestRouter(keys)),
    closers.add(await startTestRouter(keys)),
  ];
  ({ url } = closers.add(await startRoundRobin(replicas.map(({ port }) => port))));
});
afterAll(() => closers.close());

type Payload = Buffer | string;
type Kind = 'binary' | 'text';

interface Hashes {
  readonly sent: string;
  readonly got: string;
}

function make(kind: Kind, size: number): Payload {
  if (kind === 'binary') return randomBytes(size);
  // What framings and JSON care about, and characters of one to four bytes in UTF-8.
  const sample = 'a"\\\n\x1eä…😀:4';
  const line = `${randomBytes(16).toString('hex')}${sample}`;
  const text = line.repeat(Math.ceil(size / Buffer.byteLength(line)));
  // A character that the cut went through would not survive any transport.
  return Buffer.from(text)
    .subarray(0, size)
    .toString()
    .replace(/\uFFFD$/, '');
}

function sha256(payload: Payload): string {
  return createHash('sha256').update(payload).digest('hex');
}

describe.each(WAYS)('%s', (name, transports) => {
  test.each<Kind>(['binary', 'text'])(
    '%s messages of 1 B to 5 MiB arrive as they were sent, both ways',
    async (kind) => {
      const socket = await connectClient(url, { transports });
      try {
        if (transports.length > 1) await upgraded(socket);
        const acked = socket.timeout(10_000);
        const hashes = new Set<string>();
        socket.on('large', (payload: Payload, answer: (hash: string) => void) => {
          answer(sha256(payload));
        });
        const startedAt = performance.now();
        for (const size of SIZES) {
          const payload = make(kind, size);
          const { sent, got } = (await acked.emitWithAck('send', kind, size)) as Hashes;
          expect(await acked.emitWithAck('measure', payload)).toBe(sha256(payload));
          expect(got).toBe(sent);
          hashes.add(got);
        }
        expect(hashes.size).toBe(SIZES.length);
        const tookMs = Math.round(performance.now() - startedAt);
        console.log(
          `${name}, ${kind}: ${String(SIZES.length)} sizes up to 5 MiB each way intact in ${String(tookMs)} ms`,
        );
      } finally {
        socket.close();
      }
    },
  );
});
