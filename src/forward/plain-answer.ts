import { STATUS_CODES } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { ERRORS } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { hasBody } from '../headers.ts';
import { endAnswer, LINGER_MS } from './last-bytes.ts';

/** Answers with an error's status and sentence, as text; an answer that has begun is cut off. */
export function answerPlainly(res: ServerResponse, code: ErrorCode): void {
  if (res.headersSent) {
    res.destroy();
    return;
  }
  const { status, message } = ERRORS[code];
  writeText(res, status, message);
}

/** Answers with a status and one line of text; headers set before stay. */
export function writeText(res: ServerResponse, status: number, line: string): void {
  // Tells the client not to go on with a body that nobody wants.
  if (hasBody(res.req.rawHeaders) && !res.req.complete) res.shouldKeepAlive = false;
  res.writeHead(status, textHeaders(line));
  endAnswer(res.req, res, { body: `${line}\n` });
}

/** The same as a whole message, for a socket that Node has handed over for an upgrade. */
export function plainAnswer(code: ErrorCode): string {
  const { status, message } = ERRORS[code];
  const fields = Object.entries({ ...textHeaders(message), Connection: 'close' });
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  return `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n${lines}\r\n${message}\n`;
}

/** Writes that message and closes the socket; never throws. */
export function answerSocketPlainly(socket: Duplex, code: ErrorCode): void {
  socket.on('error', () => undefined);
  socket.end(plainAnswer(code));
  // Unread bytes would turn the close into a reset, which can take the answer with it.
  socket.resume();
  destroyLater(socket);
}

/** Destroys a stream that is not closed within {@link LINGER_MS}. */
export function destroyLater(stream: Duplex): void {
  if (stream.closed) return;
  const timer = setTimeout(() => stream.destroy(), LINGER_MS).unref();
  stream.once('close', () => {
    clearTimeout(timer);
  });
}

function textHeaders(line: string): Record<string, string> {
  return {
    'Content-Type': 'text/plain; charset=utf-8',
    'Content-Length': String(Buffer.byteLength(line) + 1),
    'X-Content-Type-Options': 'nosniff',
  };
}
