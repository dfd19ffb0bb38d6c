import { join } from 'node:path';
import type { ClientKind } from '../matrix/contract.ts';
import { goProgram } from '../matrix/go.ts';
import { processClient } from '../matrix/process-client.ts';

const program = goProgram(join(import.meta.dirname, 'go-zishang'));

/** Socket.IO's client in Go, in the newest line of its modules. */
export const goZishangClient: ClientKind = processClient({
  id: 'go-zishang-client',
  language: 'Go',
  library: 'zishang520/socket.io/clients',
  version: program.version('github.com/zishang520/socket.io/clients/socket/v3'),
  dialect: 'socket.io',
  revision: 4,
  needs: ['go'],
  cannot: [
    {
      transports: ['polling'],
      // clients/engine/v3 polling.go: polls and writes take turns in one queue.
      why: 'while a poll is open it sends nothing, not even the pong that the server waits for',
    },
  ],
  build: () => program.build(),
  command: () => [program.path, []],
});
