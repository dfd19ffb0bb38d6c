import { join } from 'node:path';
import type { ServerKind } from '../matrix/contract.ts';
import { goProgram } from '../matrix/go.ts';
import { processServer } from '../matrix/process-server.ts';

const program = goProgram(join(import.meta.dirname, 'go-googollee'));

/** Its session ids are a counter: every node gives out the same ones. */
export const goGoogollee: ServerKind = processServer({
  id: 'go-googollee',
  language: 'Go',
  library: 'googollee/go-socket.io',
  version: program.version('github.com/googollee/go-socket.io'),
  settings: '',
  dialect: 'socket.io',
  revisions: [3],
  needs: ['go'],
  build: () => program.build(),
  command: (port, name) => [program.path, [String(port), name]],
});
