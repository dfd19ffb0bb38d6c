import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { EXIT } from './exit-codes.ts';
import type { Io } from './io.ts';

/** What `unsticky init` writes. */
export const STARTER = `# yaml-language-server: $schema=./node_modules/unsticky/config/unsticky.schema.json

# Where clients connect. ":8099" listens on all IPv4 addresses.
listen: 127.0.0.1:8099

# Your Socket.IO servers. They need no change.
upstreams:
  - http://127.0.0.1:10015
  - http://127.0.0.1:10016

# With one router, sessions may be kept in memory. Several share a Redis:
# store: redis://127.0.0.1:6379
store: memory

# The path of Engine.IO; clients call it "path".
# path: /socket.io/

# Everything else: the first matching prefix wins.
# routes:
#   - {path: /api/, proxy: http://127.0.0.1:3000}
#   - {path: /, static: ./public}

# Proxies in front of this one whose X-Forwarded-For is believed.
# trustProxies: [10.0.0.0/8]

# Health and status, on this machine only.
# admin: 127.0.0.1:9099

# limits: {body: 100mb}
# timeouts: {upstream: 100s, shutdown: 30s}
# log: {level: info, access: true}
`;

/** `unsticky init`: writes a commented configuration; never over an existing file unless forced. */
export function init(file: string, options: { readonly force?: boolean }, io: Io): number {
  try {
    writeFileSync(resolve(io.folder, file), STARTER, { flag: options.force === true ? 'w' : 'wx' });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === 'EEXIST' ? 'it exists already (--force overwrites it)' : (code ?? message);
    io.stderr.write(`unsticky: cannot write ${file}: ${why}\n`);
    return EXIT.cannotCreate;
  }
  io.stdout.write(
    `Wrote ${file}. Name your servers in it, then run:\n  unsticky check -c ${file}\n  unsticky start -c ${file}\n`,
  );
  return EXIT.ok;
}
