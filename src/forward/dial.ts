import net from 'node:net';
import tls from 'node:tls';
import { UnstickyError } from '../errors.ts';

/** Interval of TCP keep-alive probes in milliseconds: finds half-open peers that FIN never reached. */
export const TCP_KEEP_ALIVE_MS = 30_000;

/** Where an upstream listens. */
export interface DialTarget {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/**
 * Opens a connection to an upstream. `onDone` is called once: with nothing when the connection
 * (TLS included) stands, else with `UPSTREAM_CONNECT` and the socket already destroyed. It is not
 * called when the caller destroys the socket first. The socket has an error listener from the
 * start; later errors show as its `close`.
 *
 * @param timeoutMs - limit of the whole connect in milliseconds
 */
export function dial(
  target: DialTarget,
  timeoutMs: number,
  onDone: (error: UnstickyError | undefined) => void,
): net.Socket {
  const socket = connect(target);
  const timer = setTimeout(() => {
    fail(`${address(target)} did not accept within ${String(timeoutMs)} ms`);
  }, timeoutMs);
  const readyEvent = target.tls ? 'secureConnect' : 'connect';
  // Forgotten once called: the socket's listeners live on, what waits for the connection need not.
  let waiting: typeof onDone | undefined = onDone;

  function settle(error: UnstickyError | undefined): void {
    const settled = waiting;
    waiting = undefined;
    clearTimeout(timer);
    settled?.(error);
  }
  function fail(detail: string, cause?: Error): void {
    if (waiting === undefined) return;
    socket.destroy();
    settle(new UnstickyError('UPSTREAM_CONNECT', detail, { cause }));
  }

  socket.on('error', (error) => {
    fail(`${address(target)} (${error.message || error.name})`, error);
  });
  socket.once(readyEvent, () => {
    settle(undefined);
  });
  socket.once('close', () => {
    // The caller destroyed it before it stood: nobody waits for an answer any more.
    waiting = undefined;
    clearTimeout(timer);
  });
  return socket;
}

function connect(target: DialTarget): net.Socket {
  const { host, port } = target;
  const common = {
    host,
    port,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: TCP_KEEP_ALIVE_MS,
  };
  if (!target.tls) return net.connect(common);
  const servername = net.isIP(host) === 0 ? host : '';
  return tls.connect({ ...common, servername, ALPNProtocols: ['http/1.1'] });
}

function address(target: DialTarget): string {
  return `${target.host}:${String(target.port)}`;
}
