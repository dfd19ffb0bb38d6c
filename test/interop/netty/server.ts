import { execFile } from 'node:child_process';
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withFreePort } from '../../helpers/free-port.ts';
import { startProcess } from '../../helpers/process.ts';

/** One running chat node on netty-socketio 1.7.17, the released jar. */
export interface NettyNode {
  readonly name: string;
  readonly port: number;
  readonly url: string;
  close(signal?: NodeJS.Signals): Promise<void>;
}

const PROJECT = import.meta.dirname;
const JAR = join(PROJECT, 'target/netty-chat.jar');
const SOURCES = [
  join(PROJECT, 'pom.xml'),
  join(PROJECT, 'src/main/java/chat/ChatServer.java'),
] as const;

/** Builds the chat server with Maven unless the jar is newer than its sources. */
export async function buildNettyServer(): Promise<void> {
  const built = await modifiedAt(JAR);
  const changed = await Promise.all(SOURCES.map(modifiedAt));
  if (changed.every((source) => source < built)) return;
  await promisify(execFile)('mvn', ['-q', '-B', 'package'], { cwd: PROJECT });
}

/** Starts a node on a free port and waits until it serves. */
export async function startNettyNode(name: string): Promise<NettyNode> {
  return withFreePort(async (port) => {
    const args = ['-XX:TieredStopAtLevel=1', '-Xmx256m', '-jar', JAR, String(port), name];
    const node = await startProcess('java', args, { ready: /^ready .*$/m });
    return { name, port, url: `http://127.0.0.1:${String(port)}`, close: node.close };
  });
}

async function modifiedAt(file: string): Promise<number> {
  try {
    return (await stat(file)).mtimeMs;
  } catch {
    return 0;
  }
}
