import { join } from 'node:path';
import type { ServerKind } from '../matrix/contract.ts';
import { goProgram } from '../matrix/go.ts';
import { processServer } from '../matrix/process-server.ts';

const program = goProgram(join(import.meta.dirname, 'go-zishang'));

/** Socket.IO's Go port in the newest line of its modules. */
export const goZishang: ServerKind = processServer({
  id: 'go-zishang',
  language: 'Go',
  library: 'zishang520/socket.io',
  version: program.version('github.com/zishang520/socket.io/servers/socket/v3'),
  settings: 'allowEIO3',
  dialect: 'socket.io',
  revisions: [3, 4],
  needs: ['go'],
  build: () => program.build(),
  command: (port, name) => [program.path, [String(port), name]],
});
