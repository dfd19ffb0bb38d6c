import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Config, RouteConfig } from './config/config.ts';
import type { ErrorCode } from './errors.ts';
import { AppRoute } from './forward/app.ts';
import { StaticRoute } from './forward/static.ts';

/** Who serves what is not Engine.IO. */
type Handler =
  | { readonly kind: 'proxy'; readonly path: string; readonly route: AppRoute }
  | { readonly kind: 'static'; readonly path: string; readonly route: StaticRoute };

/** Header fields that tell an application about the client. */
type Forwarding = readonly (readonly [string, string])[];

/** The configured routes, in their order; the first whose path begins the request's serves it. */
export class Routes {
  readonly #handlers: readonly Handler[];

  /** @param onError - hears what went wrong between the router and an application */
  constructor(config: Config, onError: (code: ErrorCode, cause: Error) => void) {
    this.#handlers = config.routes.map((route) => createHandler(route, config, onError));
  }

  /** Serves a request; false if no route does. */
  serve(req: IncomingMessage, res: ServerResponse, forwarding: () => Forwarding): boolean {
    const handler = this.#find(req.url ?? '/');
    if (handler === undefined) return false;
    if (handler.kind === 'proxy') handler.route.web(req, res, forwarding());
    else handler.route.serve(req, res);
    return true;
  }

  /** Serves a WebSocket upgrade; false if no application does. */
  upgrade(
    req: IncomingMessage,
    connection: { readonly socket: Duplex; readonly head: Buffer },
    forwarding: () => Forwarding,
  ): boolean {
    const handler = this.#find(req.url ?? '/');
    if (handler?.kind !== 'proxy') return false;
    handler.route.upgrade(req, connection.socket, connection.head, forwarding());
    return true;
  }

  /** Keeps no idle connection; what runs goes on. */
  close(): void {
    for (const handler of this.#handlers) if (handler.kind === 'proxy') handler.route.close();
  }

  /** Ends everything. */
  destroy(): void {
    for (const handler of this.#handlers) if (handler.kind === 'proxy') handler.route.destroy();
  }

  #find(target: string): Handler | undefined {
    return this.#handlers.find((handler) => target.startsWith(handler.path));
  }
}

function createHandler(
  route: RouteConfig,
  config: Config,
  onError: (code: ErrorCode, cause: Error) => void,
): Handler {
  const { path } = route;
  switch (route.kind) {
    case 'static': {
      const { directory } = route;
      return { kind: 'static', path, route: new StaticRoute({ directory, prefix: path }) };
    }
    case 'proxy': {
      const { connectMs, upstreamMs, upgradeMs } = config.timeouts;
      const app = new AppRoute({
        urls: route.urls,
        connectTimeoutMs: connectMs,
        upstreamTimeoutMs: upstreamMs,
        upgradeTimeoutMs: upgradeMs,
        bodyLimitBytes: config.limits.bodyBytes,
        onError,
      });
      return { kind: 'proxy', path, route: app };
    }
  }
}
