import { join } from 'node:path';
import type { Revision, ServerKind } from '../matrix/contract.ts';
import { javaProgram } from '../matrix/java.ts';
import { processServer } from '../matrix/process-server.ts';

/** Both lines have the same interface: one source serves both. */
const SOURCES = join(import.meta.dirname, 'netty-1/src');

function netty(id: string, revisions: readonly Revision[]): ServerKind {
  const program = javaProgram(join(import.meta.dirname, id), SOURCES);
  return processServer({
    id,
    language: 'Java',
    library: 'netty-socketio',
    version: program.version('netty-socketio'),
    settings: '',
    dialect: 'socket.io',
    revisions,
    needs: ['java', 'mvn'],
    build: () => program.build(),
    command: (port, name) => program.command(String(port), name),
  });
}

/** Speaks Engine.IO 3 whatever it is asked for. */
export const netty1: ServerKind = netty('netty-1', [3]);

/** The newest line. */
export const netty2: ServerKind = netty('netty-2', [3, 4]);
