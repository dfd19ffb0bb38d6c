import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { WebSocketServer } from 'ws';
import type { WebSocket } from 'ws';
import { withDeadline } from './deadline.ts';
import { Queue } from './queue.ts';

const DEADLINE_MS = 5_000;

/** A request of a session, its body read; the test answers it through `res`, or not at all. */
export interface SessionRequest {
  readonly req: http.IncomingMessage;
  readonly res: http.ServerResponse;
  readonly body: string;
}

/** What a {@link PatientUpstream} says in its open packets, and how it opens sessions. */
export interface PatientOptions {
  readonly pingIntervalMs?: number;
  readonly pingTimeoutMs?: number;
  /** Sids in order of the handshakes; default `NAME-0`, `NAME-1` … */
  readonly sidFor?: (index: number) => string;
}

/**
 * An Engine.IO 4 server that opens sessions by itself and leaves all else to the test. Health checks
 * of the router are answered on the side.
 */
export interface PatientUpstream {
  readonly port: number;
  readonly url: string;
  /** Every request and upgrade so far, their targets in order. */
  readonly targets: readonly string[];
  /** The next request of a session that the test has not taken yet. */
  request(): Promise<SessionRequest>;
  /** The next WebSocket, open, that the test has not taken yet. */
  socket(): Promise<WebSocket>;
  close(): Promise<void>;
}

/** Starts one on a free port. */
export async function startPatientUpstream(
  name: string,
  options: PatientOptions = {},
): Promise<PatientUpstream> {
  const { pingIntervalMs = 25_000, pingTimeoutMs = 20_000 } = options;
  const sidFor = options.sidFor ?? ((index) => `${name}-${String(index)}`);
  const requests = new Queue<SessionRequest>();
  const sockets = new Queue<WebSocket>();
  const targets: string[] = [];
  let opened = 0;
  const open = (sid = sidFor(opened++)): string => {
    const times = { pingInterval: pingIntervalMs, pingTimeout: pingTimeoutMs };
    return `0${JSON.stringify({ sid, upgrades: ['websocket'], ...times })}`;
  };
  const server = http.createServer((req, res) => {
    const { url = '', headers } = req;
    if (headers['user-agent'] === 'unsticky') {
      res.end(open('health-check'));
      return;
    }
    targets.push(url);
    if (!url.includes('sid=')) res.end(open());
    else void readText(req).then((body) => requests.add({ req, res, body }), ignore);
  });
  const sessions = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  server.on('upgrade', (req: http.IncomingMessage, socket, head) => {
    const { url = '' } = req;
    targets.push(url);
    socket.on('error', ignore);
    sessions.handleUpgrade(req, socket, head, (webSocket) => {
      webSocket.on('error', ignore);
      if (!url.includes('sid=')) webSocket.send(open());
      sockets.add(webSocket);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    port,
    url: `http://127.0.0.1:${String(port)}`,
    targets,
    request: () => withDeadline(requests.take(), DEADLINE_MS, `a session's request at ${name}`),
    socket: () => withDeadline(sockets.take(), DEADLINE_MS, `a WebSocket at ${name}`),
    close: async () => {
      for (const webSocket of sessions.clients) webSocket.terminate();
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

/** The peer may leave in the middle; whoever tests that looks for it elsewhere. */
const ignore = (): void => undefined;

async function readText(req: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of req) text += String(chunk);
  return text;
}
