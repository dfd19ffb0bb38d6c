import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isBuilt, runTool } from '../matrix/build.ts';
import type { ServerKind } from '../matrix/contract.ts';
import { processServer } from '../matrix/process-server.ts';

const FOLDER = join(import.meta.dirname, 'rust-socketioxide');
const PROGRAM = join(FOLDER, 'target/debug/rust-socketioxide');

/** Its feature `v4`, which is revision 4 of Socket.IO's protocol, adds clients of Engine.IO 3. */
export const rustSocketioxide: ServerKind = processServer({
  id: 'rust-socketioxide',
  language: 'Rust',
  library: 'socketioxide',
  version: lockedVersion('socketioxide'),
  settings: 'feature v4',
  dialect: 'socket.io',
  revisions: [3, 4],
  needs: ['cargo'],
  build: async () => {
    const sources = ['src/main.rs', 'Cargo.toml', 'Cargo.lock'].map((file) => join(FOLDER, file));
    if (await isBuilt(PROGRAM, sources)) return;
    await runTool(FOLDER, 'cargo', ['build', '--locked']);
  },
  command: (port, name) => [PROGRAM, [String(port), name]],
});

function lockedVersion(name: string): string {
  const lock = readFileSync(join(FOLDER, 'Cargo.lock'), 'utf8');
  const version = new RegExp(`^name = "${name}"\nversion = "(.+)"$`, 'm').exec(lock)?.[1];
  if (version === undefined) throw new Error(`Cargo.lock has no ${name}`);
  return version;
}
