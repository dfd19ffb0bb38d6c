import { join } from 'node:path';
import type { ClientKind, Revision } from '../matrix/contract.ts';
import { javaProgram } from '../matrix/java.ts';
import { processClient } from '../matrix/process-client.ts';

/** Both lines have the same interface: one source serves both. */
const SOURCES = join(import.meta.dirname, 'java-1/src');

function java(id: string, revision: Revision): ClientKind {
  const program = javaProgram(join(import.meta.dirname, id), SOURCES);
  return processClient({
    id,
    language: 'Java',
    library: 'socket.io-client-java',
    version: program.version('socket.io-client'),
    dialect: 'socket.io',
    revision,
    needs: ['java', 'mvn'],
    cannot: [],
    build: () => program.build(),
    command: () => program.command(),
  });
}

/** The line for servers of Socket.IO 1 and 2. */
export const java1: ClientKind = java('java-1', 3);

/** The line for servers of Socket.IO 3 and 4. */
export const java2: ClientKind = java('java-2', 4);
