import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Redis } from 'ioredis';
import { eventually } from './eventually.ts';
import { freePort, withFreePort } from './free-port.ts';
import { startProcess } from './process.ts';
import { startRedis } from './redis.ts';
import type { RedisServer } from './redis.ts';

const run = promisify(execFile);
const START_MS = 15_000;

export interface TlsRedis {
  readonly url: string;
  /** PEM file of the authority that signed its certificate. */
  readonly ca: string;
  readonly password: string;
  readonly close: () => Promise<void>;
}

/** A server that speaks TLS only and wants a password. */
export async function startTlsRedis(): Promise<TlsRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-redis-tls-'));
  const [cert, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  await run('openssl', ['req', '-x509', ...kind, ...subject, '-out', cert, '-keyout', key]);
  const password = 'correct horse/battery@staple';
  const server = await withFreePort((port) =>
    startRedis(
      [
        ...['--port', '0', '--tls-port', String(port), '--tls-auth-clients', 'no'],
        ...['--tls-cert-file', cert, '--tls-key-file', key, '--requirepass', password],
      ],
      port,
    ),
  );
  return {
    url: `rediss://127.0.0.1:${String(server.port)}`,
    ca: cert,
    password,
    close: async () => {
      await server.close();
      await rm(directory, { recursive: true });
    },
  };
}

export interface SentinelRedis {
  readonly name: string;
  readonly sentinels: readonly { host: string; port: number }[];
  readonly master: RedisServer;
  readonly replica: RedisServer;
  readonly close: () => Promise<void>;
}

/** One master, one synced replica and one Sentinel that gives a silent master half a second. */
export async function startSentinel(): Promise<SentinelRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-sentinel-'));
  const master = await startRedis(['--repl-diskless-sync-delay', '0']);
  const replica = await startRedis(['--replicaof', '127.0.0.1', String(master.port)]);
  await eventually(
    async () => (await info(replica.port, 'replication')).includes('master_link_status:up'),
    START_MS,
    'replica is in sync',
  );
  const file = join(directory, 'sentinel.conf');
  const { sentinel, port } = await withFreePort(async (port) => {
    await writeFile(
      file,
      [
        `port ${String(port)}`,
        'bind 127.0.0.1',
        `sentinel monitor unsticky 127.0.0.1 ${String(master.port)} 1`,
        'sentinel down-after-milliseconds unsticky 500',
        'sentinel failover-timeout unsticky 3000',
      ].join('\n'),
    );
    const options = { ready: /\+monitor master/ };
    return { sentinel: await startProcess('redis-server', [file, '--sentinel'], options), port };
  });
  await eventually(
    async () => (await info(port, 'sentinel')).includes('slaves=1'),
    START_MS,
    'Sentinel knows the replica',
  );
  return {
    name: 'unsticky',
    sentinels: [{ host: '127.0.0.1', port }],
    master,
    replica,
    close: async () => {
      await sentinel.close('SIGKILL');
      await Promise.all([replica.close(), master.close()]);
      await rm(directory, { recursive: true });
    },
  };
}

export interface ClusterRedis {
  readonly nodes: readonly { host: string; port: number }[];
  readonly servers: readonly RedisServer[];
  readonly close: () => Promise<void>;
}

const SLOT_RANGES = [
  [0, 5460],
  [5461, 10922],
  [10923, 16383],
] as const;

/** Three masters, each with a third of the slots. */
export async function startCluster(): Promise<ClusterRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-cluster-'));
  const members = await Promise.all(
    SLOT_RANGES.map(async (slots, index) => {
      const busPort = await freePort();
      const server = await startRedis([
        ...['--dir', directory, '--cluster-config-file', `nodes-${String(index)}.conf`],
        ...['--cluster-enabled', 'yes', '--cluster-port', String(busPort)],
        ...['--cluster-node-timeout', '2000'],
      ]);
      return { server, busPort, slots };
    }),
  );
  for (const { server, slots } of members) {
    await command(server.port, ['CLUSTER', 'ADDSLOTSRANGE', ...slots.map(String)]);
    for (const other of members) {
      const address = ['127.0.0.1', String(other.server.port), String(other.busPort)];
      if (other.server !== server) await command(server.port, ['CLUSTER', 'MEET', ...address]);
    }
  }
  const servers = members.map(({ server }) => server);
  for (const { port } of servers) {
    const ready = async (): Promise<boolean> => {
      const state = String(await command(port, ['CLUSTER', 'INFO']));
      return state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3');
    };
    await eventually(ready, START_MS, 'the cluster is ok');
  }
  return {
    nodes: servers.map(({ port }) => ({ host: '127.0.0.1', port })),
    servers,
    close: async () => {
      await Promise.all(servers.map((server) => server.close()));
      await rm(directory, { recursive: true });
    },
  };
}

async function info(port: number, section: string): Promise<string> {
  return String(await command(port, ['INFO', section]));
}

/** Sends one command over a connection of its own. */
export async function command(
  port: number,
  [name = '', ...args]: readonly string[],
): Promise<unknown> {
  const client = new Redis({ port, host: '127.0.0.1', enableReadyCheck: false, lazyConnect: true });
  try {
    await client.connect();
    return await client.call(name, args);
  } finally {
    client.disconnect();
  }
}
