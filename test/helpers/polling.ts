import http from 'node:http';
import { withDeadline } from './deadline.ts';

/** What came back for one request, bytes as they came. */
export interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: Buffer;
}

/** A request; by default a GET over a connection of its own. */
export interface Question {
  readonly method?: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: Buffer | string;
  readonly agent?: http.Agent;
}

/** Sends one request and reads the whole answer, whatever its status. */
export async function ask(url: string, question: Question = {}): Promise<Answer> {
  const { body, ...options } = question;
  const answered = new Promise<Answer>((resolve, reject) => {
    const request = http.request(url, { agent: false, ...options });
    request.on('error', reject);
    request.on('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const { statusCode = 0, headers } = response;
        resolve({ status: statusCode, headers, body: Buffer.concat(chunks) });
      });
    });
    request.end(body);
  });
  return withDeadline(answered, 10_000, `an answer to ${question.method ?? 'GET'} ${url}`);
}

/** The query of a polling request in Engine.IO 4. */
export function pollingTarget(url: string, sid?: string): string {
  const query = 'EIO=4&transport=polling';
  return `${url}/socket.io/?${query}${sid === undefined ? '' : `&sid=${sid}`}`;
}

/** Opens a session in Engine.IO 4 and returns its sid; fails unless the answer is an open packet. */
export async function openSession(
  url: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<string> {
  const { status, body } = await ask(pollingTarget(url), { headers });
  const text = body.toString();
  if (status !== 200 || !text.startsWith('0{')) {
    throw new Error(`no open packet but ${String(status)} ${text}`);
  }
  return (JSON.parse(text.slice(1)) as { sid: string }).sid;
}

/** Polls once; answers with the status and the body as text. */
export async function poll(
  url: string,
  sid: string,
  headers: http.OutgoingHttpHeaders = {},
): Promise<string> {
  const { status, body } = await ask(pollingTarget(url, sid), { headers });
  return `${String(status)} ${body.toString()}`;
}
