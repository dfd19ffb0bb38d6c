import type { EngineAnswer } from './answers.ts';
import type { HeaderOf } from './flavours.ts';

/** What a server lets pages of other origins do; undefined where it says nothing. */
export interface CrossOriginRules {
  /** `*`: whatever origin asks is named in the answer. */
  readonly allowOrigin: string | undefined;
  readonly allowCredentials: string | undefined;
  readonly allowHeaders: string | undefined;
}

/** netty-socketio and googollee as they come. */
export const DEFAULT_RULES: CrossOriginRules = {
  allowOrigin: '*',
  allowCredentials: undefined,
  allowHeaders: undefined,
};

/**
 * Reads the rules from an answer to a handshake that named no origin, so that `*` tells a server
 * that allows them all from one that allows a single one.
 *
 * @param header - the answer's headers by lower-case name
 */
export function readCrossOriginRules(header: HeaderOf): CrossOriginRules {
  return {
    allowOrigin: header('access-control-allow-origin'),
    allowCredentials: header('access-control-allow-credentials'),
    allowHeaders: header('access-control-allow-headers'),
  };
}

/**
 * The answer to a CORS preflight without a sid, in place of a server that would open a session for
 * it. What the server says with every answer, and `Content-Type`, which it allows in this one only
 * (netty-socketio 1.7.17 to 2.0.14: EncoderHandler; googollee 1.7.0: engineio/transport/polling/
 * server.go ServeHTTP). A browser may then do what it may without the router, no more.
 *
 * @param origin - the request's Origin header
 */
export function preflightAnswer(rules: CrossOriginRules, origin: string | undefined): EngineAnswer {
  const { allowOrigin, allowCredentials, allowHeaders } = rules;
  const headers: [string, string][] = [['Vary', 'Origin']];
  if (allowOrigin === '*' && origin !== undefined) {
    headers.push(['Access-Control-Allow-Origin', origin]);
    headers.push(['Access-Control-Allow-Credentials', 'true']);
  } else {
    if (allowOrigin !== undefined) headers.push(['Access-Control-Allow-Origin', allowOrigin]);
    if (allowCredentials !== undefined) {
      headers.push(['Access-Control-Allow-Credentials', allowCredentials]);
    }
  }
  const allowed = allowHeaders === undefined ? 'Content-Type' : `Content-Type, ${allowHeaders}`;
  headers.push(['Access-Control-Allow-Headers', allowed]);
  return { status: 200, headers, body: '' };
}
