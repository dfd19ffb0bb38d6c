import type { ErrorCode } from '../errors.ts';
import type { EngineQuery, Transport } from './types.ts';

/** What a request under an Engine.IO path wants. */
export type Intent =
  /** A new session: its answer is to be bound. */
  | { kind: 'handshake'; transport: Transport }
  /** Something of a session that exists, whatever the method. */
  | { kind: 'session'; sid: string }
  /** Neither makes nor needs a session (client files): any upstream will do. */
  | { kind: 'stateless' }
  /** A browser asks what it may do; some servers open a session for it. */
  | { kind: 'preflight' }
  /** Must reach no upstream. */
  | { kind: 'refuse'; code: ErrorCode };

const STATELESS: Intent = { kind: 'stateless' };
const PREFLIGHT: Intent = { kind: 'preflight' };
const POLLING: Intent = { kind: 'handshake', transport: 'polling' };
const WEBSOCKET: Intent = { kind: 'handshake', transport: 'websocket' };
const BAD_METHOD: Intent = { kind: 'refuse', code: 'BAD_HANDSHAKE_METHOD' };
const BAD_REQUEST: Intent = { kind: 'refuse', code: 'SID_MALFORMED' };

/**
 * Decides what a request wants. Whatever could open a session on some server without its sid being
 * learned is refused: netty-socketio and googollee open one for any method, and netty for
 * `transport=websocket` without an upgrade as well.
 *
 * - Transport and upgrade must agree on a handshake. Engine.IO's own server answers code 3 to
 *   `transport=websocket` without an upgrade, which is what `SID_MALFORMED` says; it answers an upgrade
 *   with `transport=polling` by 101 and a Close frame, which tells a client less than a refusal.
 * - `EIO` without a known transport counts as a polling handshake, because python-engineio takes
 *   polling for granted; other servers refuse, and a refusal binds nothing.
 * - A WebSocket upgrade is always a GET (RFC 6455 section 4.1).
 *
 * @param method - as sent, upper case
 * @param upgrade - the request asks for an upgrade to WebSocket
 */
export function intentOf(method: string, query: EngineQuery, upgrade: boolean): Intent {
  if (upgrade && method !== 'GET') return BAD_METHOD;
  if (query.sid !== undefined) return { kind: 'session', sid: query.sid };
  if (upgrade) return query.transport === 'websocket' ? WEBSOCKET : BAD_REQUEST;
  return withoutSession(method, query);
}

function withoutSession(method: string, query: EngineQuery): Intent {
  const opensSession = query.transport !== undefined || query.eio !== undefined;
  switch (method) {
    case 'OPTIONS':
      return PREFLIGHT;
    case 'HEAD':
      return opensSession ? BAD_METHOD : STATELESS;
    case 'GET':
      if (!opensSession) return STATELESS;
      return query.transport === 'websocket' ? BAD_REQUEST : POLLING;
    default:
      return BAD_METHOD;
  }
}
