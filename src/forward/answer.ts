import type { ServerResponse } from 'node:http';
import { responseHeaders } from '../headers.ts';
import type { ResponseHead } from './response-head.ts';

/** An upstream's answer, complete and not yet shown to the client. */
export interface HeldAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
}

/** Writes an upstream's status line and header to the client as they came, hop-by-hop fields apart. */
export function writeAnswerHead(res: ServerResponse, head: ResponseHead, bodyBytes?: number): void {
  const headers = responseHeaders(head.rawHeaders);
  const lengthIsNew = head.framing === 'chunked' || head.framing === 'close';
  if (bodyBytes !== undefined && lengthIsNew) headers.push('Content-Length', String(bodyBytes));
  res.sendDate = false;
  res.writeHead(head.status, head.reason, headers);
}

/** Releases a held answer to the client. */
export function writeHeldAnswer(res: ServerResponse, answer: HeldAnswer): void {
  writeAnswerHead(res, answer.head, answer.body.length);
  res.end(answer.body);
}
