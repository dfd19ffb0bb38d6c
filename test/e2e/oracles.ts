import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { startProcess } from '../helpers/process.ts';

/** A proxy that others trust, in front of a backend. */
export interface Oracle {
  /** Unix socket it listens on: no port that another program could take. */
  readonly socket: string;
  close(): Promise<void>;
}

/** nginx as its documentation puts it in front of a WebSocket server. */
export async function startNginx(backendPort: number): Promise<Oracle> {
  return startOracle('nginx', (folder) => ({
    config: `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  client_header_timeout 1s;
  client_body_timeout 1s;
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  upstream recorder { server 127.0.0.1:${String(backendPort)}; keepalive 8; }
  server {
    listen unix:${folder}/socket;
    location / {
      proxy_pass http://recorder;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_next_upstream off;
    }
  }
}
`,
    args: ['-p', folder, '-c', `${folder}/config`],
  }));
}

/** HAProxy with its defaults. */
export async function startHaproxy(backendPort: number): Promise<Oracle> {
  return startOracle('haproxy', (folder) => ({
    config: `
defaults
  mode http
  timeout client 1s
  timeout connect 1s
  timeout server 5s
  timeout http-request 1s
frontend front
  bind unix@${folder}/socket
  default_backend back
backend back
  server recorder 127.0.0.1:${String(backendPort)}
`,
    args: ['-V', '-db', '-f', `${folder}/config`],
  }));
}

async function startOracle(
  command: string,
  setUp: (folder: string) => { config: string; args: string[] },
): Promise<Oracle> {
  const folder = await mkdtemp(join(tmpdir(), `unsticky-${command}-`));
  const { config, args } = setUp(folder);
  await writeFile(join(folder, 'config'), config);
  // The event mechanism is the last thing that both name before they serve.
  const running = await startProcess(command, args, { ready: /epoll|kqueue/ }).catch(
    (error: unknown) => {
      const isMissing = (error as NodeJS.ErrnoException).code === 'ENOENT';
      throw isMissing ? new Error(`${command} is missing: run \`node test/machine.js\``) : error;
    },
  );
  const socket = join(folder, 'socket');
  await untilServed(socket);
  return {
    socket,
    close: async () => {
      await running.close();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Neither program says when it has bound its socket. */
async function untilServed(path: string): Promise<void> {
  for (let attempt = 0; ; attempt += 1) {
    const socket = connect(path);
    try {
      await once(socket, 'connect');
      return;
    } catch (error) {
      if (attempt === 200) throw error;
      await pause(20);
    } finally {
      socket.destroy();
    }
  }
}
