import type { IncomingMessage, ServerResponse } from 'node:http';
import { hasBody } from '../headers.ts';

/** Time a client gets to read the last bytes and close, in milliseconds. */
export const LINGER_MS = 5000;

/** What is read and dropped of a request that has been answered before its end, in bytes. */
const MAX_DROPPED_BYTES = 64 * 1024 * 1024;

/** How an answer ends. */
export interface AnswerEnd {
  /** The last piece of the body. */
  readonly body?: string;
  /** Default `length`: the client knows the end of the answer without `res.end()`. */
  readonly framing?: 'length' | 'other';
}

/**
 * Ends an answer.
 *
 * If the client is still sending its request, that is read and dropped first: closing a connection
 * with unread bytes resets it, and a reset takes away what the client has not read yet, the answer
 * included (RFC 9112 section 9.6). A client that does not come to its end within 5 s or 64 MiB is
 * cut off; it has had its answer.
 */
export function endAnswer(
  req: IncomingMessage,
  res: ServerResponse,
  { body = '', framing = 'length' }: AnswerEnd = {},
): void {
  if (req.complete || !hasBody(req.rawHeaders)) {
    res.end(body);
    req.resume();
    return;
  }
  if (body !== '') res.write(body);
  // Node closes a connection that does not go on as soon as its answer has ended.
  if (res.shouldKeepAlive || framing === 'other') res.end();
  dropRest(req, res);
}

function dropRest(req: IncomingMessage, res: ServerResponse): void {
  const { socket } = req;
  let droppedBytes = 0;
  const cutOff = (): void => {
    socket.destroy();
  };
  const timer = setTimeout(cutOff, LINGER_MS).unref();
  req.on('data', (chunk: Buffer) => {
    droppedBytes += chunk.length;
    if (droppedBytes > MAX_DROPPED_BYTES) cutOff();
  });
  req.once('end', () => {
    clearTimeout(timer);
    if (!res.writableEnded) res.end();
  });
  req.once('close', () => {
    clearTimeout(timer);
  });
  req.unpipe();
  req.resume();
}
