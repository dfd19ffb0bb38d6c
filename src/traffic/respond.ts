import type { IncomingMessage, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import { engineAnswer } from '../engineio/answers.ts';
import type { EngineAnswer } from '../engineio/answers.ts';
import { ERRORS, UnstickyError } from '../errors.ts';
import type { ErrorCode } from '../errors.ts';
import { endAnswer } from '../forward/last-bytes.ts';
import type { RelayOutcome } from '../forward/relay.ts';
import type { TunnelOutcome } from '../forward/tunnels.ts';
import type { UpgradeClient } from '../forward/upgrade-client.ts';
import type { Visit } from './visit.ts';

/** Answers a request under an Engine.IO path with an error, in Engine.IO's own words. */
export function refuse(visit: Visit, res: ServerResponse, code: ErrorCode): void {
  const answer = engineAnswer(code, visit.origin);
  writeAnswer(visit.req, res, answer);
  visit.finish({ status: answer.status, bytes: answer.body.length, outcome: code });
}

/** Answers a request for anything else with an error, as plain text. */
export function refusePlain(visit: Visit, res: ServerResponse, code: ErrorCode): void {
  const { status, message } = ERRORS[code];
  const body = `${message}\n`;
  const headers: [string, string][] = [['Content-Type', 'text/plain; charset=utf-8']];
  writeAnswer(visit.req, res, { status, headers, body });
  visit.finish({ status, bytes: body.length, outcome: code });
}

/** Answers an upgrade with an error and closes its connection. */
export function refuseUpgrade(visit: Visit, client: UpgradeClient, code: ErrorCode): void {
  const { status, headers, body } = engineAnswer(code, visit.origin);
  const lines = headers.map(([name, value]) => `${name}: ${value}\r\n`).join('');
  const length = `Content-Length: ${String(Buffer.byteLength(body))}\r\nConnection: close\r\n`;
  const statusLine = `HTTP/1.1 ${String(status)} ${STATUS_CODES[status] ?? ''}\r\n`;
  client.refuse(`${statusLine}${lines}${length}\r\n${body}`);
  visit.finish({ status, bytes: body.length, outcome: code });
}

/**
 * Ends a streamed request: the access line, and for a failure that the client has not seen yet, an
 * answer in Engine.IO's words.
 */
export function conclude(visit: Visit, res: ServerResponse, outcome: RelayOutcome): void {
  switch (outcome.kind) {
    case 'answered':
      visit.finish({ status: outcome.head.status, bytes: outcome.bytes, outcome: 'ok' });
      return;
    case 'failed': {
      const { code, status } = outcome.error;
      if (outcome.answering) visit.finish({ status, bytes: 0, outcome: code });
      else refuse(visit, res, code);
      return;
    }
    case 'client-gone':
      visit.finish({ status: ERRORS.CLIENT_GONE.status, bytes: 0, outcome: 'CLIENT_GONE' });
      return;
    case 'held':
      throw new UnstickyError('INTERNAL', 'a streamed answer was held');
  }
}

/** Writes what an upgrade's client has still to hear, and the access line. */
export function concludeUpgrade(visit: Visit, client: UpgradeClient, outcome: TunnelOutcome): void {
  switch (outcome.kind) {
    case 'closed': {
      const how = outcome.how === 'end' ? 'ok' : `${outcome.by}:${outcome.how}`;
      visit.finish({ status: 101, bytes: outcome.bytesToClient, outcome: how });
      return;
    }
    case 'refused':
      visit.finish({ status: outcome.head.status, bytes: outcome.bytes, outcome: 'ok' });
      return;
    case 'failed': {
      const { code, status } = outcome.error;
      if (outcome.answering) visit.finish({ status, bytes: 0, outcome: code });
      else refuseUpgrade(visit, client, code);
      return;
    }
    case 'client-gone':
      visit.finish({ status: ERRORS.CLIENT_GONE.status, bytes: 0, outcome: 'CLIENT_GONE' });
      return;
  }
}

function writeAnswer(req: IncomingMessage, res: ServerResponse, answer: EngineAnswer): void {
  if (res.headersSent || res.destroyed) return;
  const length = String(Buffer.byteLength(answer.body));
  const headers = [...answer.headers, ['Content-Length', length] as const].flat();
  res.writeHead(answer.status, headers);
  endAnswer(req, res, { body: answer.body });
}
