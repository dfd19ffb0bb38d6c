import { join } from 'node:path';
import type { Revision, ServerKind, Spoils } from '../matrix/contract.ts';
import { javaProgram } from '../matrix/java.ts';
import { processServer } from '../matrix/process-server.ts';

/** Both lines have the same interface: one source serves both. */
const SOURCES = join(import.meta.dirname, 'netty-1/src');

function netty(id: string, revisions: readonly Revision[], spoils: Spoils): ServerKind {
  const program = javaProgram(join(import.meta.dirname, id), SOURCES);
  return processServer({
    id,
    language: 'Java',
    library: 'netty-socketio',
    version: program.version('netty-socketio'),
    settings: '',
    dialect: 'socket.io',
    revisions,
    spoils,
    needs: ['java', 'mvn'],
    build: () => program.build(),
    command: (port, name) => program.command(String(port), name),
  });
}

/**
 * Speaks Engine.IO 3 whatever it is asked for. Of a POST with an attachment and the packet that
 * announces it, it reads the second alone (`InPacketHandler`), and to clients that ask for base64 it
 * encodes UTF-8 twice (`PacketEncoder.encodeJsonP`).
 */
export const netty1: ServerKind = netty('netty-1', [3], {
  polling: ['binary', 'non-ASCII text'],
});

/**
 * The newest line. It begins attachments with a byte of Engine.IO 3 in Engine.IO 4 as well
 * (`EncoderHandler`, `PacketEncoder.encodePackets`), and separates packets of Engine.IO 3 as those of
 * 4, which no client of Engine.IO 3 can read over polling.
 */
export const netty2: ServerKind = netty('netty-2', [3, 4], {
  polling: ['binary', 'non-ASCII text'],
  websocket: ['binary'],
});
