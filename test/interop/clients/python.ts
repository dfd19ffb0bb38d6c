import { join } from 'node:path';
import type { ClientKind, Revision } from '../matrix/contract.ts';
import { processClient } from '../matrix/process-client.ts';
import { pythonEnvironment } from '../matrix/python.ts';

const FOLDER = join(import.meta.dirname, 'python');

function line(number: 4 | 5, revision: Revision): ClientKind {
  const packages = pythonEnvironment(FOLDER, `requirements-${number}.txt`);
  return processClient({
    id: `python-${number}`,
    language: 'Python',
    library: 'python-socketio',
    version: packages.version('python-socketio'),
    dialect: 'socket.io',
    revision,
    needs: ['python3'],
    cannot: [],
    build: () => packages.build(),
    command: () => [packages.python, [join(FOLDER, 'client.py')]],
  });
}

/** The clients of both lines of python-socketio, for asyncio. */
export const pythonClients: readonly ClientKind[] = [line(4, 3), line(5, 4)];
