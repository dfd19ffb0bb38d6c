import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import type { UpstreamConfig } from '../config/config.ts';
import { closePacket } from '../engineio/close-packet.ts';
import { decodeBody } from '../engineio/content-coding.ts';
import { recogniseFlavour } from '../engineio/flavours.ts';
import { readOpenPacket } from '../engineio/open-packet.ts';
import { readCrossOriginRules } from '../engineio/preflight.ts';
import type { OpenPacket } from '../engineio/types.ts';
import { headerValue } from '../headers.ts';
import type { Introduction } from './upstream.ts';

/** An open packet has about 120 bytes; what is longer is not kept. */
const MAX_ANSWER_BYTES = 64 * 1024;
/** How a server says that it does not speak this protocol version (Engine.IO error code 5). */
const VERSION_REFUSED = /"code"\s*:\s*5\b/;

/** Protocol version in a handshake's query. */
export type EngineVersion = '3' | '4';

/** What one check of an upstream found. */
export type CheckResult =
  | { readonly passed: true }
  /** `answered`: an HTTP answer came, so something lives there. */
  | { readonly passed: false; readonly reason: string; readonly answered: boolean };

/** A handshake check's result. */
export type HandshakeCheckResult = CheckResult & {
  /** Protocol version to begin with next time. */
  readonly version: EngineVersion;
  /** What the upstream is; undefined if it opened no session. */
  readonly introduction?: Introduction;
};

interface Question {
  readonly method: 'GET' | 'POST';
  readonly path: string;
  readonly headers?: http.OutgoingHttpHeaders;
  readonly body?: Buffer | string;
}

type Answer =
  | { readonly kind: 'silence'; readonly reason: string }
  | {
      readonly kind: 'answer';
      readonly status: number;
      readonly rawHeaders: readonly string[];
      readonly body: Buffer;
      /** Why the body is not whole; undefined if it is. */
      readonly cut: string | undefined;
    };

/**
 * Opens an Engine.IO session as a client would and closes it again, so that no ghost stays on the
 * upstream. Any answer below 500 passes: a refusal by the application (401, 403) is a sign of life.
 *
 * @param version - tried first; the other one follows if the server refuses it
 * @param signal - ends the check; its reason becomes the check's
 */
export async function checkHandshake(
  target: UpstreamConfig,
  enginePath: string,
  version: EngineVersion,
  signal: AbortSignal,
): Promise<HandshakeCheckResult> {
  const first = await openSession(target, enginePath, version, signal);
  if (first !== 'version-refused') return { ...first, version };
  const other = version === '4' ? '3' : '4';
  const second = await openSession(target, enginePath, other, signal);
  if (second !== 'version-refused') return { ...second, version: other };
  return { passed: true, version };
}

/** Asks for a path; answers of 2xx and 3xx pass. */
export async function checkHttp(
  target: UpstreamConfig,
  path: string,
  signal: AbortSignal,
): Promise<CheckResult> {
  return judge(await ask(target, { method: 'GET', path }, signal), 399);
}

/** Opens a TCP connection and closes it. */
export async function checkTcp(target: UpstreamConfig, signal: AbortSignal): Promise<CheckResult> {
  return new Promise((resolve) => {
    const socket = net.connect({ host: target.host, port: target.port, signal });
    socket.once('error', (error) => {
      resolve({ passed: false, reason: reasonOf(error, signal), answered: false });
    });
    socket.once('connect', () => {
      socket.destroy();
      resolve({ passed: true });
    });
  });
}

/** A session as the one who closes it must name it. */
export interface OpenedSession {
  readonly enginePath: string;
  /** Value of `EIO` in its handshake. */
  readonly version: string;
  readonly open: OpenPacket;
}

/** Closes a session as its client would, with an Engine.IO close packet; never rejects. */
export async function closeSession(
  target: UpstreamConfig,
  session: OpenedSession,
  signal: AbortSignal,
): Promise<void> {
  const { enginePath, version, open } = session;
  const close = closePacket(open.framing);
  const query = `EIO=${version}&transport=polling&sid=${encodeURIComponent(open.sid)}`;
  const farewell: Question = {
    method: 'POST',
    path: `${enginePath}?${query}`,
    headers: { 'content-type': close.contentType, 'content-length': close.body.length },
    body: close.body,
  };
  await ask(target, farewell, signal);
}

async function openSession(
  target: UpstreamConfig,
  enginePath: string,
  version: EngineVersion,
  signal: AbortSignal,
): Promise<(CheckResult & { introduction?: Introduction }) | 'version-refused'> {
  const path = `${enginePath}?EIO=${version}&transport=polling`;
  const answer = await ask(target, { method: 'GET', path }, signal);
  const result = judge(answer, 499);
  if (answer.kind === 'silence' || !result.passed) return result;

  const header = (name: string): string | undefined => headerValue(answer.rawHeaders, name);
  const body = decodeBody(answer.body, header('content-encoding'), MAX_ANSWER_BYTES);
  if (answer.status === 400 && VERSION_REFUSED.test(body?.toString() ?? '')) {
    return 'version-refused';
  }
  const open = body === undefined ? undefined : readOpenPacket(body);
  if (open === undefined) return result;
  await closeSession(target, { enginePath, version, open }, signal);
  const flavour = recogniseFlavour(open, header);
  return { ...result, introduction: { flavour, crossOrigin: readCrossOriginRules(header) } };
}

function judge(answer: Answer, highestPass: number): CheckResult {
  if (answer.kind === 'silence') return { passed: false, reason: answer.reason, answered: false };
  const { status, cut } = answer;
  if (cut !== undefined) return { passed: false, reason: cut, answered: true };
  if (status > highestPass) {
    return { passed: false, reason: `status ${String(status)}`, answered: true };
  }
  return { passed: true };
}

async function ask(
  target: UpstreamConfig,
  question: Question,
  signal: AbortSignal,
): Promise<Answer> {
  return new Promise((resolve) => {
    const request = (target.tls ? https : http).request({
      host: target.host,
      port: target.port,
      method: question.method,
      path: question.path,
      headers: { 'user-agent': 'unsticky', ...question.headers },
      // A connection of its own: a kept one would tell nothing about new clients, and some servers
      // close every connection after one answer.
      agent: false,
      signal,
    });
    let answered = false;
    const onSilence = (error: Error): void => {
      // After the head of an answer, errors are told by its body.
      if (!answered) resolve({ kind: 'silence', reason: reasonOf(error, signal) });
    };
    request.on('error', onSilence);
    // Node drops the connection of an uninvited 101 without an event.
    request.once('upgrade', (_incoming, socket) => {
      socket.destroy();
      onSilence(new Error('unexpected upgrade'));
    });
    request.once('response', (incoming) => {
      answered = true;
      void collect(incoming, signal).then(resolve);
    });
    request.end(question.body);
  });
}

async function collect(incoming: http.IncomingMessage, signal: AbortSignal): Promise<Answer> {
  const chunks: Buffer[] = [];
  let length = 0;
  let cut: string | undefined;
  try {
    for await (const chunk of incoming as AsyncIterable<Buffer>) {
      chunks.push(chunk);
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) break;
    }
  } catch (error) {
    cut = reasonOf(error, signal);
  }
  return {
    kind: 'answer',
    status: incoming.statusCode ?? 0,
    rawHeaders: incoming.rawHeaders,
    body: Buffer.concat(chunks),
    cut,
  };
}

function reasonOf(error: unknown, signal: AbortSignal): string {
  const cause: unknown = signal.aborted ? signal.reason : error;
  if (!(cause instanceof Error)) return String(cause);
  return cause.message || cause.name;
}
