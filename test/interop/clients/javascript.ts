import { join } from 'node:path';
import type { ClientKind, Dialect, Revision } from '../matrix/contract.ts';
import { npmFolder } from '../matrix/npm.ts';
import { processClient } from '../matrix/process-client.ts';

const FOLDER = join(import.meta.dirname, 'javascript');
const packages = npmFolder(FOLDER);

function line(dialect: Dialect, major: number, revision: Revision): ClientKind {
  const library = `${dialect}-client`;
  const module = `${library}-${String(major)}`;
  return processClient({
    id: module,
    language: 'JavaScript',
    library,
    version: packages.version(module),
    dialect,
    revision,
    needs: ['node', 'npm'],
    cannot: [],
    build: () => packages.build(),
    command: () => [process.execPath, [join(FOLDER, `${library}.js`), module]],
  });
}

/** Every line of the JavaScript clients, under Node. */
export const javascriptClients: readonly ClientKind[] = [
  line('socket.io', 1, 3),
  line('socket.io', 2, 3),
  line('socket.io', 3, 4),
  line('socket.io', 4, 4),
  line('engine.io', 3, 3),
  line('engine.io', 6, 4),
];
