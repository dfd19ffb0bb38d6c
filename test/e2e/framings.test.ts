import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync } from 'node:zlib';
import { afterEach, describe, expect, test } from 'vitest';
import { writeByteByByte } from '../helpers/byte-proxy.ts';
import { Closers } from '../helpers/closers.ts';
import { ask } from '../helpers/polling.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { startTestRouter } from '../helpers/router.ts';

const CLIENTS = 50;

const closers = new Closers();
afterEach(() => closers.close());

type End = 'length' | 'chunks' | 'one-byte chunks' | 'close';

/** An answer to a handshake, as some server writes it. */
interface Framing {
  /** Query of the request. */
  readonly query: string;
  readonly headers: readonly string[];
  /** The body that announces a sid, before any coding. */
  readonly body: (sid: string) => Buffer;
  readonly coding?: (body: Buffer) => Buffer;
  /** How the body's end is told. Default: by its length. */
  readonly end?: End;
  /** Every byte of the answer travels on its own. */
  readonly byteByByte?: true;
}

const EIO4 = 'EIO=4&transport=polling&t=N8hyd6w';
const EIO3 = 'EIO=3&transport=polling&t=N8hyd6w';
const TEXT = 'Content-Type: text/plain; charset=UTF-8';
const BYTES = 'Content-Type: application/octet-stream';

function open(sid: string): string {
  return `0{"sid":"${sid}","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000}`;
}

/** Engine.IO 3: length in characters, colon, packet. */
function lengthText(packet: string): string {
  return `${String(packet.length)}:${packet}`;
}

/** Engine.IO 3 as bytes: 0 for text, one byte a decimal digit, ff, packet. */
function lengthBytes(packet: string): Buffer {
  const digits = Array.from(String(packet.length), Number);
  return Buffer.from([0, ...digits, 0xff, ...Buffer.from(packet)]);
}

function jsonp(payload: string): string {
  return `___eio[0](${JSON.stringify(payload)});`;
}

function plain(body: (sid: string) => string): (sid: string) => Buffer {
  return (sid) => Buffer.from(body(sid));
}

const node4: Framing = { query: EIO4, headers: [TEXT], body: plain(open) };
const netty: Framing = {
  query: EIO3,
  headers: ['content-type: application/octet-stream', 'connection: keep-alive'],
  body: (sid) => lengthBytes(open(sid)),
};

const framings: readonly (readonly [string, Framing])[] = [
  ['Node 4', node4],
  [
    'Node 4 to an EIO=3 client',
    { ...node4, query: EIO3, body: plain((sid) => lengthText(open(sid))) },
  ],
  [
    'Node 2, the connect packet behind it',
    { ...node4, query: EIO3, body: plain((sid) => `${lengthText(open(sid))}2:40`) },
  ],
  ['Node 1, as bytes', { ...node4, query: EIO3, headers: [BYTES], body: netty.body }],
  [
    'a packet in base64',
    {
      ...node4,
      query: `${EIO3}&b64=1`,
      body: plain((sid) => lengthText(`b0${Buffer.from(open(sid).slice(1)).toString('base64')}`)),
    },
  ],
  ['netty, as bytes', netty],
  [
    'netty, gzip although nobody asked',
    {
      ...netty,
      headers: [...netty.headers, 'content-encoding: gzip'],
      coding: gzipSync,
      end: 'chunks',
    },
  ],
  [
    'netty with b64, no keep-alive',
    { ...netty, query: `${EIO3}&b64=1`, body: plain((sid) => lengthText(open(sid))), end: 'close' },
  ],
  [
    'netty over JSONP, in single quotes',
    {
      query: `${EIO3}&b64=1&j=0`,
      headers: ['content-type: application/javascript'],
      body: plain((sid) => `___eio[0]('${lengthText(open(sid))}');`),
    },
  ],
  [
    'Node over JSONP, in double quotes',
    { ...node4, query: `${EIO4}&j=0`, body: plain((sid) => jsonp(open(sid))) },
  ],
  [
    'Node 2 over JSONP',
    {
      ...node4,
      query: `${EIO3}&b64=1&j=0`,
      body: plain((sid) => jsonp(`${lengthText(open(sid))}2:40`)),
    },
  ],
  [
    'python under uvicorn, more packets behind it, in chunks',
    {
      ...node4,
      headers: ['content-type: text/plain; charset=UTF-8', 'server: uvicorn'],
      body: plain((sid) => `${open(sid)}\x1e40{"sid":"not-this-one"}\x1e4hello`),
      end: 'chunks',
    },
  ],
  [
    'python over JSONP, a raw separator in the string',
    {
      ...node4,
      query: `${EIO4}&j=0`,
      body: plain((sid) => `___eio[0]("${open(sid).replaceAll('"', '\\"')}\x1e4hello");`),
    },
  ],
  [
    'googollee, a newline in the length',
    { ...netty, body: (sid) => lengthBytes(`${open(sid)}\n`) },
  ],
  ['gzip', { ...node4, headers: [TEXT, 'Content-Encoding: gzip'], coding: gzipSync }],
  ['deflate', { ...node4, headers: [TEXT, 'Content-Encoding: deflate'], coding: deflateSync }],
  [
    'deflate without its wrapper',
    { ...node4, headers: [TEXT, 'Content-Encoding: deflate'], coding: deflateRawSync },
  ],
  [
    'br',
    {
      ...node4,
      headers: [TEXT, 'Content-Encoding: br'],
      coding: brotliCompressSync,
      end: 'chunks',
    },
  ],
  ['byte by byte, with a length', { ...node4, byteByByte: true }],
  ['byte by byte, in chunks', { ...node4, end: 'chunks', byteByByte: true }],
  [
    'byte by byte, each in a chunk of its own',
    { ...netty, end: 'one-byte chunks', byteByByte: true },
  ],
  [
    'byte by byte, gzip in chunks',
    {
      ...netty,
      headers: [...netty.headers, 'content-encoding: gzip'],
      coding: gzipSync,
      end: 'chunks',
      byteByByte: true,
    },
  ],
  ['byte by byte, up to the end of the connection', { ...netty, end: 'close', byteByByte: true }],
];

/** What an upstream did for one client. */
interface Handed {
  readonly sid: string;
  readonly body: Buffer;
  readonly owner: string;
}

describe('of two upstreams the one that opened a session is asked again', () => {
  test.each(framings)(`${String(CLIENTS)} of ${String(CLIENTS)}: %s`, async (_name, framing) => {
    const handed = new Map<string, Handed>();
    const codings: (string | undefined)[] = [];
    const upstreams = [
      await startFraming('chat-1', framing, { handed, codings }),
      await startFraming('chat-2', framing, { handed, codings }),
    ];
    const router = closers.add(
      await startTestRouter({ upstreams, balance: 'round-robin', health: { check: 'tcp' } }),
    );
    const headers = { 'accept-encoding': 'gzip, deflate, br' };
    const client = async (_: unknown, index: number): Promise<string> => {
      const number = String(index);
      const url = `${router.url}/socket.io/?${framing.query}`;
      const answer = await ask(url, { headers: { ...headers, 'x-client': number } });
      const session = handed.get(number);
      if (session === undefined) throw new Error('no upstream was asked');
      expect(answer.body.equals(session.body)).toBe(true);
      const poll = await ask(`${url}&sid=${session.sid}`, { headers });
      expect(poll.body.toString()).toBe(session.owner);
      return session.owner;
    };
    const owners = await Promise.all(Array.from({ length: CLIENTS }, client));
    expect(owners.filter((owner) => owner === 'chat-1')).toHaveLength(CLIENTS / 2);
    expect(router.counter('handshakes')).toBe(CLIENTS);
    // Handshakes are asked for without coding, everything else as the client wishes.
    expect(codings.filter((coding) => coding === undefined)).toHaveLength(CLIENTS);
    expect(codings.filter((coding) => coding === 'gzip, deflate, br')).toHaveLength(CLIENTS);
  });
});

/** Starts an upstream that opens sessions in this framing; resolves with its URL. */
async function startFraming(
  name: string,
  framing: Framing,
  seen: { readonly handed: Map<string, Handed>; readonly codings: (string | undefined)[] },
): Promise<string> {
  const sids = new Set<string>();
  const raw = await startRawUpstream((socket) => {
    socket.setNoDelay(true);
    onRequestHead(socket, (head) => {
      seen.codings.push(/^accept-encoding: (.*)$/im.exec(head)?.[1]);
      const sid = /[?&]sid=([\w-]+)/.exec(head)?.[1];
      if (sid !== undefined) {
        const text = sids.has(sid) ? name : `unknown to ${name}`;
        socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(text.length)}\r\n\r\n${text}`);
        return;
      }
      const opened = randomUUID();
      sids.add(opened);
      const body = framing.coding?.(framing.body(opened)) ?? framing.body(opened);
      const client = /^x-client: (\d+)$/im.exec(head)?.[1] ?? '';
      seen.handed.set(client, { sid: opened, body, owner: name });
      void writeHandshake(socket, framing, body);
    });
  });
  closers.add(raw);
  return `http://127.0.0.1:${String(raw.port)}`;
}

async function writeHandshake(socket: Socket, framing: Framing, body: Buffer): Promise<void> {
  const { headers, end = 'length', byteByByte } = framing;
  const [lines, payload] = delimited(body, end);
  const head = ['HTTP/1.1 200 OK', ...headers, ...lines, '\r\n'].join('\r\n');
  const answer = Buffer.concat([Buffer.from(head), payload]);
  if (byteByByte === true) await writeByteByByte(socket, [answer]);
  else socket.write(answer);
  if (end === 'close') socket.end();
}

/** Header lines and the bytes behind them that tell a body's end in this way. */
function delimited(body: Buffer, end: End): [string[], Buffer] {
  switch (end) {
    case 'chunks':
      return [['Transfer-Encoding: chunked'], inChunks(body, Math.ceil(body.length / 3))];
    case 'one-byte chunks':
      return [['Transfer-Encoding: chunked'], inChunks(body, 1)];
    case 'close':
      return [[], body];
    case 'length':
      return [[`Content-Length: ${String(body.length)}`], body];
  }
}

function inChunks(body: Buffer, size: number): Buffer {
  const parts: Buffer[] = [];
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.subarray(at, at + size);
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  return Buffer.concat([...parts, Buffer.from('0\r\n\r\n')]);
}
