import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../../helpers/free-port.ts';
import { startProcess } from '../../helpers/process.ts';

/** nginx as its own documentation sets it up for WebSocket, with its default balancing: round robin. */
export async function startNginx(
  upstreams: readonly number[],
): Promise<{ url: string; close(): Promise<void> }> {
  const port = await freePort();
  const directory = await mkdtemp(join(tmpdir(), 'unsticky-nginx-'));
  const file = join(directory, 'nginx.conf');
  await writeFile(file, configuration(directory, port, upstreams));
  const nginx = await startProcess('nginx', ['-p', directory, '-c', file], {
    ready: /start worker process \d/,
  });
  return {
    url: `http://127.0.0.1:${String(port)}`,
    async close(): Promise<void> {
      await nginx.close();
      await rm(directory, { recursive: true });
    },
  };
}

function configuration(directory: string, port: number, upstreams: readonly number[]): string {
  const servers = upstreams.map((upstream) => `server 127.0.0.1:${String(upstream)};`).join(' ');
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join('\n  ');
  return `daemon off;
worker_processes 1;
pid ${directory}/nginx.pid;
error_log stderr notice;
events { worker_connections 1024; }
http {
  access_log off;
  ${temporary}
  map $http_upgrade $connection_upgrade { default upgrade; '' close; }
  upstream chat { ${servers} }
  server {
    listen 127.0.0.1:${String(port)};
    location /socket.io/ {
      proxy_pass http://chat;
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}
`;
}
