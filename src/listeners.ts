import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createSecureContext } from 'node:tls';
import type { Config, ListenAddress, TlsFiles } from './config/config.ts';
import { UnstickyError } from './errors.ts';
import { hardenServer, serverOptions } from './hardening.ts';
import type { ServerHandlers } from './hardening.ts';
import type { Logger } from './log.ts';

/** Where a listener really listens. */
export interface BoundAddress {
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
}

/** The listening servers of a router: all of them, or an error and none. */
export class Listeners {
  readonly addresses: readonly BoundAddress[];
  readonly #servers: readonly http.Server[];
  readonly #connections: ReadonlySet<Socket>;

  private constructor(
    servers: readonly http.Server[],
    connections: ReadonlySet<Socket>,
    addresses: readonly BoundAddress[],
  ) {
    this.#servers = servers;
    this.#connections = connections;
    this.addresses = addresses;
  }

  /** Opens every configured address. Rejects with `LISTEN_FAILED` or `CONFIG_INVALID` (certificates). */
  static async open(config: Config, handlers: ServerHandlers, log: Logger): Promise<Listeners> {
    const servers: http.Server[] = [];
    const connections = new Set<Socket>();
    const addresses: BoundAddress[] = [];
    try {
      for (const address of config.listen) {
        const server = createServer(config, address);
        hardenServer(server, handlers);
        followConnections(server, connections);
        servers.push(server);
        addresses.push(await listen(server, address));
        // Without a listener, one failed accept (no descriptor left) would end the process.
        server.on('error', (error) => {
          log.error({ err: error }, 'a connection could not be accepted');
        });
      }
    } catch (error) {
      for (const server of servers) server.close();
      throw error;
    }
    return new Listeners(servers, connections, addresses);
  }

  /** Stops accepting and closes connections that wait for no answer; resolves when none is left. */
  async close(): Promise<void> {
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => {
              resolve();
            });
          }),
      ),
    );
  }

  /** Closes what an answer with `Connection: close` did not. */
  closeIdleConnections(): void {
    for (const server of this.#servers) server.closeIdleConnections();
  }

  /** Closes every connection, tunnels and those that have not finished their TLS handshake too. */
  closeAllConnections(): void {
    for (const socket of this.#connections) socket.destroy();
  }
}

/** Node's own list knows neither upgraded connections nor those within a TLS handshake. */
function followConnections(server: http.Server, connections: Set<Socket>): void {
  server.on('connection', (socket: Socket) => {
    if (connections.has(socket)) return;
    connections.add(socket);
    socket.once('close', () => {
      connections.delete(socket);
    });
  });
}

function createServer(config: Config, address: ListenAddress): http.Server {
  const options = serverOptions(config);
  if (address.tls === undefined) return http.createServer(options);
  return https.createServer({ ...options, ...readCertificate(address.tls), minVersion: 'TLSv1.2' });
}

/** Reads and tries a certificate, so that a bad one is told by name at start. */
function readCertificate(files: TlsFiles): { cert: Buffer; key: Buffer } {
  const cert = readPem(files.cert);
  const key = readPem(files.key);
  try {
    createSecureContext({ cert, key });
  } catch (error) {
    const detail = `certificate ${files.cert} and key ${files.key} cannot be used together`;
    throw new UnstickyError('CONFIG_INVALID', `${detail} (${messageOf(error)})`, { cause: error });
  }
  return { cert, key };
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new UnstickyError('CONFIG_INVALID', `cannot read ${file} (${messageOf(error)})`, {
      cause: error,
    });
  }
}

async function listen(server: http.Server, address: ListenAddress): Promise<BoundAddress> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => {
      reject(listenError(address, error));
    };
    server.once('error', onError);
    server.listen(address.port, address.host, () => {
      server.off('error', onError);
      const bound = server.address() as AddressInfo;
      resolve({ host: address.host, port: bound.port, tls: address.tls !== undefined });
    });
  });
}

function listenError(address: ListenAddress, cause: NodeJS.ErrnoException): UnstickyError {
  const where = `${address.host}:${String(address.port)}`;
  const reasons: Readonly<Record<string, string>> = {
    EADDRINUSE: 'the port is in use by another program',
    EACCES: 'not permitted; ports below 1024 need a privilege',
    EADDRNOTAVAIL: 'this machine has no such address',
  };
  const reason = reasons[cause.code ?? ''] ?? cause.message;
  return new UnstickyError('LISTEN_FAILED', `${where}: ${reason}`, { cause });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
