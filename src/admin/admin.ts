import http from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ListenAddress } from '../config/config.ts';
import { UnstickyError } from '../errors.ts';
import { hardenServer, serverOptions } from '../hardening.ts';
import type { Logger } from '../log.ts';

/** What the admin listener shows; asked for anew at each request. */
export interface StatusSource {
  /** False while the router refuses new work. */
  ready(): boolean;
  /** JSON of `/api/v1/status`; holds no sid and no secret. */
  status(): object;
}

/** Names under which a browser may reach a loopback listener; others are DNS rebinding. */
const LOOPBACK_HOST = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

const TIMEOUTS = {
  clientHeaderMs: 5000,
  clientRequestMs: 5000,
  keepAliveMs: 5000,
};

/** Health and status for operators and orchestrators, on a listener of its own. Reads only. */
export class AdminServer {
  readonly #server: http.Server;
  readonly #source: StatusSource;

  constructor(source: StatusSource) {
    this.#source = source;
    this.#server = http.createServer(serverOptions({ timeouts: TIMEOUTS }));
    hardenServer(this.#server, {
      onRequest: (req, res) => {
        this.#answer(req, res);
      },
      onUpgrade: (_req, socket) => {
        socket.destroy();
      },
      onRefused: () => undefined,
    });
  }

  /** Resolves with the port; rejects with `LISTEN_FAILED`. */
  async listen(address: ListenAddress, log: Logger): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => {
        const where = `${address.host}:${String(address.port)}`;
        reject(new UnstickyError('LISTEN_FAILED', `admin on ${where}: ${error.message}`));
      });
      this.#server.listen(address.port, address.host, () => {
        this.#server.removeAllListeners('error');
        this.#server.on('error', (error) => {
          log.error({ err: error }, 'admin listener failed to accept');
        });
        resolve((this.#server.address() as AddressInfo).port);
      });
    });
  }

  async close(): Promise<void> {
    return new Promise((resolve) => {
      this.#server.close(() => {
        resolve();
      });
      this.#server.closeAllConnections();
    });
  }

  #answer(req: IncomingMessage, res: ServerResponse): void {
    if (!LOOPBACK_HOST.test(req.headers.host ?? '')) {
      send(res, 403, { error: 'Host must name this machine: localhost, 127.0.0.1 or [::1]' });
      return;
    }
    if (req.method !== 'GET' && req.method !== 'HEAD') {
      res.setHeader('Allow', 'GET, HEAD');
      send(res, 405, { error: 'only GET and HEAD' });
      return;
    }
    this.#show(req.url ?? '/', res);
  }

  #show(url: string, res: ServerResponse): void {
    const path = url.replace(/\?.*$/s, '');
    switch (path) {
      case '/health/live':
        send(res, 200, { live: true });
        return;
      case '/health/ready': {
        const ready = this.#source.ready();
        send(res, ready ? 200 : 503, { ready });
        return;
      }
      case '/api/v1/status':
        send(res, 200, this.#source.status());
        return;
      default:
        send(res, 404, { error: 'try /health/live, /health/ready or /api/v1/status' });
    }
  }
}

function send(res: ServerResponse, status: number, body: object): void {
  const text = `${JSON.stringify(body, undefined, 2)}\n`;
  res.writeHead(status, {
    'Content-Type': 'application/json; charset=utf-8',
    'Content-Length': Buffer.byteLength(text),
    'Cache-Control': 'no-store',
  });
  res.end(text);
}
