import { join } from 'node:path';
import type { Dialect, Revision, ServerKind } from '../matrix/contract.ts';
import { MAX_MESSAGE_BYTES, PING_INTERVAL_MS, PING_TIMEOUT_MS } from '../matrix/contract.ts';
import { npmFolder } from '../matrix/npm.ts';
import { processServer } from '../matrix/process-server.ts';

const FOLDER = join(import.meta.dirname, 'javascript');
const packages = npmFolder(FOLDER);

interface Line {
  readonly id: string;
  readonly dialect: Dialect;
  /** Name in the folder's manifest. */
  readonly module: string;
  readonly revisions: readonly Revision[];
  readonly options?: Readonly<Record<string, unknown>>;
}

/** What every line is told: base64 makes a message a third larger, and lines from 2.5 on take 1 MB. */
const COMMON = {
  pingInterval: PING_INTERVAL_MS,
  pingTimeout: PING_TIMEOUT_MS,
  maxHttpBufferSize: 4 * MAX_MESSAGE_BYTES,
};

function line({ id, dialect, module, revisions, options = {} }: Line): ServerKind {
  const program = join(FOLDER, `${dialect}.js`);
  const settings = JSON.stringify({ ...COMMON, ...options });
  return processServer({
    id,
    language: 'JavaScript',
    library: dialect,
    version: packages.version(module),
    settings: Object.keys(options).join(', '),
    dialect,
    revisions,
    needs: ['node', 'npm'],
    build: () => packages.build(),
    command: (port, name) => [process.execPath, [program, module, settings, String(port), name]],
  });
}

const socketIo = (id: string, more: Pick<Line, 'module' | 'revisions' | 'options'>): ServerKind =>
  line({ id, dialect: 'socket.io', ...more });
const engineIo = (id: string, more: Pick<Line, 'module' | 'revisions'>): ServerKind =>
  line({ id, dialect: 'engine.io', ...more });

/** Every line of Socket.IO that is or was in wide use, and of bare Engine.IO. */
export const javascriptServers: readonly ServerKind[] = [
  socketIo('socket.io-1', { module: 'socket.io-1', revisions: [3] }),
  socketIo('socket.io-2', { module: 'socket.io-2', revisions: [3] }),
  socketIo('socket.io-3', { module: 'socket.io-3', revisions: [4] }),
  socketIo('socket.io-4', { module: 'socket.io-4', revisions: [4] }),
  socketIo('socket.io-4-eio3', {
    module: 'socket.io-4',
    revisions: [3, 4],
    options: { allowEIO3: true },
  }),
  socketIo('socket.io-4-cookie', {
    module: 'socket.io-4',
    revisions: [4],
    options: { cookie: true },
  }),
  socketIo('socket.io-4-recovery', {
    module: 'socket.io-4',
    revisions: [4],
    options: { connectionStateRecovery: {} },
  }),
  engineIo('engine.io-3', { module: 'engine.io-3', revisions: [3] }),
  engineIo('engine.io-6', { module: 'engine.io-6', revisions: [4] }),
];
