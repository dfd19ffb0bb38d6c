import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';

/** A request as a strict reader of RFC 9112 sees it. */
export interface RecordedRequest {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly (readonly [string, string])[];
  /** What was framed, decoded. */
  readonly body: string;
}

/** The sid that the backend's handshakes hand out. */
export const RECORDED_SID = 'differential-000001';

const OPEN_PACKET = `0{"sid":"${RECORDED_SID}","upgrades":[],"pingInterval":25000,"pingTimeout":20000}`;

/**
 * A server on bare sockets with a reader of its own, so that nothing which Node's parser forgives
 * goes unseen. Answers a request that it has read completely with what it read.
 */
export class RecordingBackend {
  /** Requests that arrived completely, in order. */
  readonly requests: RecordedRequest[] = [];
  /** Bytes that no request could be read from. */
  readonly garbage: string[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async start(): Promise<RecordingBackend> {
    const server = createServer();
    const backend = new RecordingBackend(server);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return backend;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => this.#sockets.delete(socket));
    socket.setEncoding('latin1');
    let unread = '';
    socket.on('data', (text: string) => {
      unread += text;
      try {
        for (let found = readRequest(unread); found !== undefined; found = readRequest(unread)) {
          unread = unread.slice(found.length);
          this.requests.push(found.request);
          socket.write(answerTo(found.request), 'latin1');
        }
      } catch (error) {
        this.garbage.push(`${String(error)}: ${JSON.stringify(unread.slice(0, 200))}`);
        socket.destroy();
      }
    });
  }
}

function answerTo({ method, target, headers }: RecordedRequest): string {
  const isHandshake = target.startsWith('/socket.io/') && !target.includes('sid=');
  const body = isHandshake ? OPEN_PACKET : `seen ${method} ${target}`;
  const head =
    'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n' +
    `Content-Length: ${String(body.length)}\r\n`;
  const last = headers.some(([name, value]) => /^connection$/i.test(name) && /close/i.test(value));
  return `${head}${last ? 'Connection: close\r\n' : ''}\r\n${method === 'HEAD' ? '' : body}`;
}

interface Found<T> {
  readonly request: T;
  readonly length: number;
}

/** The first request of the text, undefined if it is not complete; throws for what is none. */
function readRequest(text: string): Found<RecordedRequest> | undefined {
  const headEnd = text.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const [start = '', ...lines] = text.slice(0, headEnd).split('\r\n');
  const parts = /^([!#$%&'*+.^_`|~\w-]+) ([\x21-\x7e\x80-\xff]+) HTTP\/1\.[01]$/.exec(start);
  if (parts === null) throw new Error('bad request line');
  const headers = lines.map(readField);
  const body = readBody(text.slice(headEnd + 4), headers);
  if (body === undefined) return undefined;
  const [, method = '', target = ''] = parts;
  return {
    request: { method, target, headers, body: body.request },
    length: headEnd + 4 + body.length,
  };
}

function readField(line: string): readonly [string, string] {
  const parts = /^([!#$%&'*+.^_`|~\w-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
  if (parts === null) throw new Error('bad header line');
  return [parts[1] ?? '', (parts[2] ?? '').trimEnd()];
}

function readBody(
  text: string,
  headers: readonly (readonly [string, string])[],
): Found<string> | undefined {
  const values = (wanted: string): string[] =>
    headers.filter(([name]) => name.toLowerCase() === wanted).map(([, value]) => value);
  const encodings = values('transfer-encoding');
  const lengths = values('content-length');
  if (encodings.length + lengths.length > 1) throw new Error('ambiguous framing');
  if (values('host').length !== 1) throw new Error('not one Host');
  if (encodings.length === 1) {
    if (encodings[0]?.toLowerCase() !== 'chunked') throw new Error('bad Transfer-Encoding');
    return readChunks(text);
  }
  const [length = '0'] = lengths;
  if (!/^\d{1,9}$/.test(length)) throw new Error('bad Content-Length');
  const size = Number(length);
  return text.length < size ? undefined : { request: text.slice(0, size), length: size };
}

function readChunks(text: string): Found<string> | undefined {
  let body = '';
  for (let at = 0; ;) {
    const lineEnd = text.indexOf('\r\n', at);
    if (lineEnd === -1) return undefined;
    const line = text.slice(at, lineEnd);
    if (!/^[\da-f]{1,8}$/i.test(line)) throw new Error('bad chunk size');
    const size = Number.parseInt(line, 16);
    if (size === 0) {
      const end = text.indexOf('\r\n\r\n', lineEnd);
      return end === -1 ? undefined : { request: body, length: end + 4 };
    }
    const end = lineEnd + 2 + size;
    if (text.length < end + 2) return undefined;
    if (text.slice(end, end + 2) !== '\r\n') throw new Error('bad chunk end');
    body += text.slice(lineEnd + 2, end);
    at = end + 2;
  }
}
