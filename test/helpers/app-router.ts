import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ErrorCode } from '../../src/errors.ts';
import { AppRoute } from '../../src/forward/app.ts';
import type { AppRouteOptions } from '../../src/forward/app.ts';
import { withDeadline } from './deadline.ts';

/** A server that knows one route only: to web apps. */
export interface AppRouter {
  readonly port: number;
  readonly route: AppRoute;
  /** Failures of apps, in their order. */
  readonly errors: readonly ErrorCode[];
  /** Waits until no client connection and no tunnel is left. */
  close(): Promise<void>;
}

/** Starts it on a free port. */
export async function startAppRouter(
  urls: readonly string[],
  options: Partial<AppRouteOptions> = {},
): Promise<AppRouter> {
  const errors: ErrorCode[] = [];
  const route = new AppRoute({
    urls,
    connectTimeoutMs: 2000,
    upstreamTimeoutMs: 5000,
    upgradeTimeoutMs: 5000,
    bodyLimitBytes: 1_000_000_000,
    onError: (code) => errors.push(code),
    ...options,
  });
  const forwarded = [['X-Forwarded-For', '192.0.2.1']] as const;
  const server = createServer((req, res) => {
    route.web(req, res, forwarded);
  });
  server.maxHeadersCount = 0;
  server.on('upgrade', (req, socket, head) => {
    route.upgrade(req, socket, head, forwarded);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    route,
    errors,
    close: async () => {
      route.close();
      server.close();
      server.closeIdleConnections();
      await withDeadline(once(server, 'close'), 4000, 'all clients of the router are gone');
      route.destroy();
    },
  };
}
