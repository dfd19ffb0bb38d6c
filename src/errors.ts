/** Who is to blame for an error: it decides who should look at it. */
export type ErrorSource = 'client' | 'upstream' | 'store' | 'operator' | 'internal';

/** A stable error code; see {@link ERRORS}. */
export type ErrorCode =
  | 'BAD_TARGET'
  | 'BAD_HOST'
  | 'BAD_FRAMING'
  | 'BAD_UPGRADE'
  | 'PIPELINED'
  | 'MALFORMED_REQUEST'
  | 'METHOD_NOT_ALLOWED'
  | 'NOT_FOUND'
  | 'REQUEST_TIMEOUT'
  | 'BODY_TOO_LARGE'
  | 'HEADERS_TOO_LARGE'
  | 'HTTP_VERSION'
  | 'CLIENT_GONE'
  | 'SID_UNKNOWN'
  | 'SID_MALFORMED'
  | 'BAD_HANDSHAKE_METHOD'
  | 'SID_COLLISION'
  | 'NO_UPSTREAM'
  | 'UPSTREAM_CONNECT'
  | 'UPSTREAM_RESET'
  | 'UPSTREAM_DOWN'
  | 'UPSTREAM_BAD_ANSWER'
  | 'UPSTREAM_CUT'
  | 'UPSTREAM_TIMEOUT'
  | 'STORE_UNAVAILABLE'
  | 'SHUTTING_DOWN'
  | 'CONFIG_INVALID'
  | 'LISTEN_FAILED'
  | 'STORE_REQUIRED'
  | 'INTERNAL';

/** What is fixed about an error by its code alone. */
export interface ErrorKind {
  /** HTTP status the client gets; 499 marks a client that is gone and is only ever logged. */
  readonly status: number;
  readonly source: ErrorSource;
  /** True when the same request may succeed if the client sends it again shortly. */
  readonly retryable: boolean;
  /** One sentence, lower case, safe to show to anyone: no sid, address or password. */
  readonly message: string;
}

/**
 * Every error the router can answer or log, by its stable code.
 * `docs/errors.md` lists the same codes; a test compares the two.
 */
export const ERRORS: Readonly<Record<ErrorCode, ErrorKind>> = {
  BAD_TARGET: kind(400, 'client', 'request target is not an unambiguous absolute path'),
  BAD_HOST: kind(400, 'client', 'request needs exactly one valid Host header'),
  BAD_FRAMING: kind(400, 'client', 'message framing is ambiguous or not allowed'),
  BAD_UPGRADE: kind(400, 'client', 'upgrade request is malformed'),
  PIPELINED: kind(400, 'client', 'a second request was sent before the first was answered'),
  MALFORMED_REQUEST: kind(400, 'client', 'request could not be parsed'),
  METHOD_NOT_ALLOWED: kind(405, 'client', 'method is not allowed here'),
  NOT_FOUND: kind(404, 'client', 'no route serves this path'),
  REQUEST_TIMEOUT: kind(408, 'client', 'request did not arrive in time'),
  BODY_TOO_LARGE: kind(413, 'client', 'request body is larger than limits.body'),
  HEADERS_TOO_LARGE: kind(431, 'client', 'request header is too large or has too many lines'),
  HTTP_VERSION: kind(505, 'client', 'HTTP version is not supported'),
  CLIENT_GONE: kind(499, 'client', 'client left before the answer was complete'),

  SID_UNKNOWN: kind(400, 'client', 'Session ID unknown'),
  SID_MALFORMED: kind(400, 'client', 'Engine.IO query is malformed'),
  BAD_HANDSHAKE_METHOD: kind(400, 'client', 'Bad handshake method'),
  SID_COLLISION: kind(503, 'upstream', 'upstreams hand out sids that other upstreams hold', true),

  NO_UPSTREAM: kind(503, 'upstream', 'no upstream is available', true),
  UPSTREAM_CONNECT: kind(502, 'upstream', 'upstream could not be reached', true),
  UPSTREAM_RESET: kind(502, 'upstream', 'upstream closed the connection before it answered', true),
  UPSTREAM_DOWN: kind(502, 'upstream', 'upstream was declared dead', true),
  UPSTREAM_BAD_ANSWER: kind(502, 'upstream', 'upstream sent an answer that is not valid HTTP'),
  UPSTREAM_CUT: kind(502, 'upstream', 'upstream died in the middle of its answer', true),
  UPSTREAM_TIMEOUT: kind(504, 'upstream', 'upstream did not answer in time', true),

  STORE_UNAVAILABLE: kind(503, 'store', 'session store cannot answer', true),

  SHUTTING_DOWN: kind(503, 'operator', 'router is shutting down', true),
  CONFIG_INVALID: kind(500, 'operator', 'configuration is invalid'),
  LISTEN_FAILED: kind(500, 'operator', 'cannot listen'),
  STORE_REQUIRED: kind(500, 'operator', 'store.required is set and the store cannot be reached'),

  INTERNAL: kind(500, 'internal', 'internal error'),
};

function kind(status: number, source: ErrorSource, message: string, retryable = false): ErrorKind {
  return { status, source, retryable, message };
}

/** The one error class of this project; tell errors apart by `code`, never by message. */
export class UnstickyError extends Error {
  override readonly name = 'UnstickyError';
  readonly code: ErrorCode;

  /**
   * @param code - what happened
   * @param detail - for the operator only (log, terminal): what exactly, which one, which limit
   * @param options - `cause`: the error underneath
   */
  constructor(code: ErrorCode, detail?: string, options?: ErrorOptions) {
    super(
      detail === undefined ? ERRORS[code].message : `${ERRORS[code].message}: ${detail}`,
      options,
    );
    this.code = code;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }

  get source(): ErrorSource {
    return ERRORS[this.code].source;
  }

  get retryable(): boolean {
    return ERRORS[this.code].retryable;
  }
}
