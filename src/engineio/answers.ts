import { ERRORS, type ErrorCode } from '../errors.ts';

/** An answer that the router makes itself; whoever writes it adds Content-Length. */
export interface EngineAnswer {
  status: number;
  headers: readonly (readonly [string, string])[];
  body: string;
}

/** What Engine.IO has a code for, by our code. */
const ENGINE_WORDS: { readonly [Code in ErrorCode]?: { code: number; message: string } } = {
  SID_UNKNOWN: { code: 1, message: 'Session ID unknown' },
  BAD_HANDSHAKE_METHOD: { code: 2, message: 'Bad handshake method' },
  SID_MALFORMED: { code: 3, message: 'Bad request' },
};

/**
 * The answer to a request under an Engine.IO path that no upstream answered. What Engine.IO has a
 * code for is said in its words (engine.io 6, `Server.errors`), so that clients and their logs read
 * what they know; everything else is JSON with the router's own code.
 *
 * @param origin - the request's Origin header: a browser of that origin may then read the answer
 */
export function engineAnswer(code: ErrorCode, origin: string | undefined): EngineAnswer {
  const { status, message } = ERRORS[code];
  const headers: [string, string][] = [
    ['Content-Type', 'application/json'],
    ['Cache-Control', 'no-store'],
  ];
  if (status === 503) headers.push(['Retry-After', '1']);
  if (origin !== undefined) {
    headers.push(
      ['Access-Control-Allow-Origin', origin],
      ['Access-Control-Allow-Credentials', 'true'],
      ['Vary', 'Origin'],
    );
  }
  return { status, headers, body: JSON.stringify(ENGINE_WORDS[code] ?? { code, message }) };
}
