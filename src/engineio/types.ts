/** Engine.IO transports that a URL can name. WebTransport never reaches an HTTP/1.1 router. */
export type Transport = 'polling' | 'websocket';

/** What the query string of a request under an Engine.IO path says. */
export interface EngineQuery {
  /** `undefined`: absent or a transport that the router does not know. */
  readonly transport: Transport | undefined;
  /** Value of `EIO`, verbatim, at most a few digits; undefined if absent. */
  readonly eio: string | undefined;
  /** The session id, checked; undefined if absent or empty (both begin a session in every server read). */
  readonly sid: string | undefined;
  /** JSONP callback index (`j=`), if present. */
  readonly jsonp: string | undefined;
  /** `b64=1`: client cannot take binary. */
  readonly base64: boolean;
}

/** The packet that opens a session, as far as a router needs it. */
export interface OpenPacket {
  readonly sid: string;
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
  readonly upgrades: readonly string[];
  /** How the payload was framed; tells which framing a close packet for this session needs. */
  readonly framing: 'eio4' | 'eio3-text' | 'eio3-binary';
}

/** Server families whose wire behaviour differs where a router can see it. */
export type Flavour =
  'node' | 'netty' | 'python' | 'go-googollee' | 'go-zishang' | 'rust' | 'php' | 'unknown';
