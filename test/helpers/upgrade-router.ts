import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import type { AddressInfo } from 'node:net';
import { Tunnels } from '../../src/forward/tunnels.ts';
import type { TunnelOutcome, TunnelRequest } from '../../src/forward/tunnels.ts';
import type { Tunnel } from '../../src/forward/tunnel.ts';
import { UpgradeClient } from '../../src/forward/upgrade-client.ts';
import { Upstream } from '../../src/upstreams/upstream.ts';
import { withDeadline } from './deadline.ts';
import { Queue } from './queue.ts';
import { recordingLog } from './recording-log.ts';

/** Nothing of a test should take longer. */
const DEADLINE_MS = 5_000;

/** What a test may change about an {@link UpgradeRouter}. */
export interface UpgradeRouterOptions {
  readonly upgradeTimeoutMs?: number;
  readonly idleMs?: number;
  readonly observe?: TunnelRequest['observe'];
  /** Decides when the upgrade is sent. Default: at once. */
  readonly hold?: (client: UpgradeClient, send: () => void) => void;
}

/**
 * A server that forwards every upgrade to the first upstream, to the next one while nothing has
 * been started, and remembers what became of each.
 */
export interface UpgradeRouter {
  readonly port: number;
  readonly tunnels: Tunnels;
  readonly upstreams: readonly Upstream[];
  /** The next outcome that nobody has asked for yet. */
  outcome(): Promise<TunnelOutcome>;
  /** The next tunnel that nobody has asked for yet. */
  tunnel(): Promise<Tunnel>;
  /** Lets the tunnels' clock, not the real one, jump, once they have looked at it another time. */
  advance(ms: number): Promise<void>;
  /** Resolves when every upgrade is over and no client is connected any more. */
  untilIdle(): Promise<void>;
  close(): Promise<void>;
}

/** Starts it on a free port, in front of these ports of 127.0.0.1. */
export async function startUpgradeRouter(
  ports: readonly number[],
  options: UpgradeRouterOptions = {},
): Promise<UpgradeRouter> {
  let skippedMs = 0;
  let onLook: () => void = () => undefined;
  const now = (): number => {
    setImmediate(onLook);
    return performance.now() + skippedMs;
  };
  const tunnels = new Tunnels({
    connectTimeoutMs: 2_000,
    upgradeTimeoutMs: options.upgradeTimeoutMs ?? 2_000,
    now,
    sweepIntervalMs: 5,
  });
  const { log } = recordingLog();
  const upstreams = ports.map((port) => {
    const config = { id: String(port), url: '', host: '127.0.0.1', port, tls: false, weight: 1 };
    return new Upstream({ config, log, now: () => 0, random: Math.random });
  });
  const outcomes = new Queue<TunnelOutcome>();
  const opened = new Queue<Tunnel>();
  const ends = new Set<Promise<unknown>>();
  const server = http.createServer();
  server.on('connection', (socket) => ends.add(closed(socket)));
  server.on('upgrade', (request, socket, head) => {
    const client = new UpgradeClient(socket, head);
    const untried = [...upstreams];
    const send = (upstream = untried.shift()): void => {
      if (upstream === undefined) throw new Error('no upstream');
      const over = withResolvers();
      ends.add(over.promise);
      tunnels.forward({
        client,
        upstream,
        head: requestText(request),
        idleMs: options.idleMs,
        ...(options.observe === undefined ? {} : { observe: options.observe }),
        onOpen: (tunnel) => opened.add(tunnel),
        onDone: (outcome) => {
          over.resolve();
          outcomes.add(outcome);
          if (outcome.kind !== 'failed') return;
          if (!outcome.started && untried.length > 0) send();
          else client.refuse(errorText(outcome.error.status));
        },
      });
    };
    if (options.hold === undefined) send();
    else options.hold(client, send);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    tunnels,
    upstreams,
    outcome: () => withDeadline(outcomes.take(), DEADLINE_MS, 'an upgrade is over'),
    tunnel: () => withDeadline(opened.take(), DEADLINE_MS, 'a tunnel is open'),
    advance: async (ms) => {
      const looked = new Promise<void>((resolve) => (onLook = resolve));
      if (tunnels.open > 0) await withDeadline(looked, DEADLINE_MS, 'tunnels look at the clock');
      skippedMs += ms;
    },
    untilIdle: () =>
      withDeadline(Promise.all(ends), DEADLINE_MS, 'all is over').then(() => undefined),
    close: async () => {
      tunnels.destroy();
      server.close();
      server.closeAllConnections();
      await closed(server);
    },
  };
}

/** Resolves when it is closed, whether by an error or not. */
export async function closed(closing: net.Socket | net.Server): Promise<void> {
  if (closing instanceof net.Socket && closing.destroyed) return;
  await new Promise((resolve) => closing.once('close', resolve));
}

/** The header block of a whole WebSocket request, for clients that speak raw bytes. */
export const UPGRADE_REQUEST: string = [
  'GET /socket.io/?EIO=4&transport=websocket HTTP/1.1',
  'Host: example.org',
  'Connection: keep-alive, Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
  '\r\n',
].join('\r\n');

/** The answer to {@link UPGRADE_REQUEST}. */
export const SWITCHING: string = [
  'HTTP/1.1 101 Switching Protocols',
  'upgrade: websocket',
  'Connection: Upgrade',
  'SEC-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=',
  '\r\n',
].join('\r\n');

function requestText(request: http.IncomingMessage): string {
  let text = `${request.method ?? ''} ${request.url ?? ''} HTTP/1.1\r\n`;
  const { rawHeaders } = request;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    text += `${rawHeaders[i] ?? ''}: ${rawHeaders[i + 1] ?? ''}\r\n`;
  }
  return `${text}\r\n`;
}

function errorText(status: number): string {
  return `HTTP/1.1 ${String(status)} Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`;
}

function withResolvers(): { readonly promise: Promise<void>; readonly resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => (resolve = settle));
  return { promise, resolve };
}
