import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { withDeadline } from './deadline.ts';

/**
 * A polling server of Engine.IO 4 that answers each poll at once with its own name, so that a test
 * sees where a request went.
 */
export interface NamingUpstream {
  readonly name: string;
  readonly url: string;
  /** Sids of the sessions that are open now. */
  readonly open: ReadonlySet<string>;
  /** Sessions opened so far. */
  readonly opened: () => number;
  /** Requests for sessions that it does not have. */
  readonly strays: () => number;
  readonly requests: readonly {
    readonly url: string;
    readonly headers: http.IncomingHttpHeaders;
  }[];
  /** From now on handshakes get no answer; resolves when it has taken this many. */
  readonly swallow: (handshakes: number) => Promise<void>;
  close(): Promise<void>;
}

/** How a {@link NamingUpstream} departs from the ordinary. */
export interface NamingOptions {
  /** The sid of a new session. */
  readonly sidFor: (request: http.IncomingMessage) => string;
  /** A handshake is answered when this resolves. Default: at once. */
  readonly mayOpen?: () => Promise<void>;
  /** Answers a request with a sid in its own way if it returns true. */
  readonly answer?: (sid: string, response: http.ServerResponse) => boolean;
}

/** Starts it on a free port. */
export async function startNamingUpstream(
  name: string,
  { sidFor, mayOpen, answer }: NamingOptions,
): Promise<NamingUpstream> {
  const open = new Set<string>();
  const requests: NamingUpstream['requests'][number][] = [];
  let opened = 0;
  let strays = 0;
  let onSwallow: (() => void) | undefined;
  const openSession = (request: http.IncomingMessage): string => {
    const sid = sidFor(request);
    open.add(sid);
    opened += 1;
    const fields = { sid, upgrades: [], pingInterval: 25_000, pingTimeout: 20_000 };
    return `0${JSON.stringify(fields)}`;
  };
  const server = http.createServer((request, response) => {
    const { url = '', method, headers } = request;
    requests.push({ url, headers });
    const sid = new URL(url, 'http://upstream').searchParams.get('sid');
    if (sid === null && onSwallow !== undefined) {
      onSwallow();
    } else if (sid === null && mayOpen !== undefined) {
      void mayOpen().then(() => response.end(openSession(request)));
    } else if (sid === null) {
      response.end(openSession(request));
    } else if (answer?.(sid, response) === true) {
      return;
    } else if (!open.has(sid)) {
      strays += 1;
      response.writeHead(400, { 'Content-Type': 'application/json' });
      response.end('{"code":1,"message":"Session ID unknown"}');
    } else if (method === 'POST') {
      void readText(request).then((body) => {
        if (body === '1') open.delete(sid);
        response.end('ok');
      });
    } else {
      response.end(`4${name}`);
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    name,
    url: `http://127.0.0.1:${String(port)}`,
    open,
    opened: () => opened,
    strays: () => strays,
    requests,
    swallow: async (handshakes) => {
      let left = handshakes;
      const taken = new Promise<void>((resolve) => {
        onSwallow = () => {
          left -= 1;
          if (left === 0) resolve();
        };
      });
      await withDeadline(taken, 5_000, `${String(handshakes)} handshakes arrive at ${name}`);
    },
    close: async () => {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

async function readText(request: http.IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
