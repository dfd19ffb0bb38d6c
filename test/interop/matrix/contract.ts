import type { RunningProcess } from '../../helpers/process.ts';

/** Revision of the Engine.IO protocol that a client speaks, and the ones that a server takes. */
export type Revision = 3 | 4;

/** What the two sides speak on top of it: a bare Engine.IO server has no events and no acks. */
export type Dialect = 'socket.io' | 'engine.io';

/** Names of transports as clients are told them, in their order. */
export type Transports = readonly ('polling' | 'websocket')[];

/** What some servers lose or mangle. */
export type Fragile = 'binary' | 'non-ASCII text';

/** What a server spoils over each transport. */
export type Spoils = Readonly<Partial<Record<Transports[number], readonly Fragile[]>>>;

/** Announced by every server that can be told to: short, so that idling across two takes seconds. */
export const PING_INTERVAL_MS = 1000;
export const PING_TIMEOUT_MS = 4000;
/** Every server takes messages of this size and a margin. */
export const MAX_MESSAGE_BYTES = 1024 * 1024;

/**
 * A kind of server under test: a published library, unmodified, in a minimal program.
 *
 * The program is started with a port and a node name. It listens on 127.0.0.1, prints a line that
 * begins with `ready`, and then one JSON object a line: `{"event":"connect","id":"…"}` and
 * `{"event":"disconnect","id":"…","reason":"…"}`. It ends when its standard input does, or by
 * SIGTERM. Its Socket.IO behaviour (default namespace, path `/socket.io/`):
 *
 * | event up | what happens |
 * | --- | --- |
 * | (connect) | `welcome` with the node's name goes down |
 * | `echo` payload, ack | ack with the payload: text, JSON or binary |
 * | `whoami`, ack | ack with the node's name |
 * | `clients`, ack | ack with the number of connected clients |
 * | `broadcast` text | `broadcasted` text goes down to every client of this node |
 * | `stream` count | `n` 0 … count-1 go down, one event each |
 * | `leave` | the server closes the connection |
 *
 * A bare Engine.IO server (path `/engine.io/`) sends text `welcome:<name>` on open, echoes every
 * other message, text or binary, and for text `stream:<count>`, `whoami`, `clients`, `leave` does as
 * above with text messages `n:<i>`, `whoami:<name>`, `clients:<count>`.
 */
export interface ServerKind {
  /** Short and unique, such as `netty-1`; also its folder's name. */
  readonly id: string;
  readonly language: string;
  readonly library: string;
  /** What was published, as the manifest or lock file of the folder says. */
  readonly version: string;
  /** Settings that matter, such as `allowEIO3`; empty for the library's defaults. */
  readonly settings: string;
  readonly dialect: Dialect;
  readonly revisions: readonly Revision[];
  /** What it spoils without a router as well, and not always: left out of the scenario. */
  readonly spoils?: Spoils;
  /** Programs that must be on the PATH; a missing one is named and fails the run. */
  readonly needs: readonly string[];
  /** Builds the program unless it is built; cached under the folder. */
  build(): Promise<void>;
  /** Starts a node on a free port, or on the port of one that has ended. */
  start(name: string, port?: number): Promise<ServerNode>;
}

/** A running server. */
export interface ServerNode {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  readonly process: RunningProcess;
  close(): Promise<void>;
}

/** A kind of client under test: a published library, unmodified. */
export interface ClientKind {
  readonly id: string;
  readonly language: string;
  readonly library: string;
  readonly version: string;
  readonly dialect: Dialect;
  readonly revision: Revision;
  readonly needs: readonly string[];
  /** Transports that it cannot be told to use alone, with the reason; the rest are tested. */
  readonly cannot: readonly { readonly transports: Transports; readonly why: string }[];
  build(): Promise<void>;
  /** Connects and resolves when the server has welcomed it; rejects with the reason it did not. */
  connect(url: string, transports: Transports): Promise<ClientSession>;
}

/** Payloads that travel in an echo. */
export type Payload =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'json'; readonly json: unknown }
  | { readonly kind: 'binary'; readonly bytes: Buffer };

/** One connected client. Every wait inside has a deadline of its own. */
export interface ClientSession {
  /** Name of the node that welcomed it. */
  readonly node: string;
  /** Transport in use right now; undefined if the library does not tell. */
  transport(): Promise<'polling' | 'websocket' | undefined>;
  /** Sends a payload and resolves with what the server acknowledged. */
  echo(payload: Payload): Promise<Payload>;
  whoami(): Promise<string>;
  /** Asks for a stream and resolves with its numbers in the order of arrival. */
  stream(count: number): Promise<number[]>;
  /** Asks the server to close the connection; resolves when the client has noticed. */
  leave(): Promise<void>;
  /** Closes in order. */
  disconnect(): Promise<void>;
  /** Connects once more after its end, with whatever the library has kept, such as cookies. */
  again(url: string, transports: Transports): Promise<ClientSession>;
  /** Drops its connections without a word: sockets destroyed, or the process killed. */
  drop(): Promise<void>;
  /** Resolves when the connection has ended, whoever ended it. */
  readonly closed: Promise<void>;
}

/*
 * A client in another language is a program that takes one JSON object a line on its standard input
 * and answers each with one on its standard output, in any order:
 *
 *   {"id":1,"do":"connect","url":"http://127.0.0.1:1","transports":["polling"]}
 *     → {"id":1,"ok":{"node":"node-1"}}                  after `welcome`
 *   {"id":2,"do":"transport"}                            → {"id":2,"ok":"websocket"} or null
 *   {"id":3,"do":"echo","text":"…"} / {"json":…} / {"base64":"…"}
 *     → {"id":3,"ok":{"text":"…"}} / {"json":…} / {"base64":"…"}
 *   {"id":4,"do":"whoami"}                               → {"id":4,"ok":"node-1"}
 *   {"id":5,"do":"stream","count":100}                   → {"id":5,"ok":[0,1,…]}
 *   {"id":6,"do":"leave"}                                → {"id":6,"ok":null} once disconnected
 *   {"id":7,"do":"disconnect"}                           → {"id":7,"ok":null}
 *   anything that fails                                  → {"id":n,"error":"why"}
 *   {"event":"closed"}                                   unasked, when the connection has ended
 *
 * One process is one session at a time (reconnection off), and connects again after its end when it
 * is told to; `drop` is its SIGKILL. It ends with its input.
 */
