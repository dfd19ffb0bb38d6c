import { join } from 'node:path';
import type { ServerKind } from '../matrix/contract.ts';
import { processServer } from '../matrix/process-server.ts';
import { pythonEnvironment } from '../matrix/python.ts';

const FOLDER = join(import.meta.dirname, 'python');
const line5 = pythonEnvironment(FOLDER, 'requirements-5.txt');
const line4 = pythonEnvironment(FOLDER, 'requirements-4.txt');

const COMMON = {
  language: 'Python',
  library: 'python-socketio',
  dialect: 'socket.io',
  needs: ['python3'],
} as const;

const asgi = processServer({
  ...COMMON,
  id: 'python-asgi',
  version: line5.version('python-socketio'),
  settings: `ASGI on uvicorn ${line5.version('uvicorn')}`,
  revisions: [4],
  build: () => line5.build(),
  command: (port, name) => [line5.python, [join(FOLDER, 'asgi.py'), String(port), name]],
});

/** What it sends on connect stands behind the open packet, in the same answer. */
const engine = processServer({
  ...COMMON,
  id: 'python-engineio',
  library: 'python-engineio',
  dialect: 'engine.io',
  version: line5.version('python-engineio'),
  settings: `ASGI on uvicorn ${line5.version('uvicorn')}`,
  revisions: [4],
  build: () => line5.build(),
  command: (port, name) => [line5.python, [join(FOLDER, 'engine.py'), String(port), name]],
});

const wsgi = processServer({
  ...COMMON,
  id: 'python-wsgi',
  version: line5.version('python-socketio'),
  settings: `WSGI on threads of gunicorn ${line5.version('gunicorn')}`,
  revisions: [4],
  build: () => line5.build(),
  command: (port, name) => [
    line5.python,
    [join(FOLDER, 'wsgi.py'), String(port), name, 'threading'],
  ],
});

/** Not its server for asyncio: that one hands coroutines to `asyncio.wait`, which Python 3.11 refuses. */
const eio3 = processServer({
  ...COMMON,
  id: 'python-eio3',
  version: line4.version('python-socketio'),
  settings: `WSGI on eventlet ${line4.version('eventlet')}`,
  revisions: [3],
  build: () => line4.build(),
  command: (port, name) => [
    line4.python,
    [join(FOLDER, 'wsgi.py'), String(port), name, 'eventlet'],
  ],
});

/** Both lines of python-socketio, in the servers that they can run in, and what the newer stands on. */
export const pythonServers: readonly ServerKind[] = [asgi, wsgi, eio3, engine];
