import { once } from 'node:events';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { loadConfig } from '../../src/config/load.ts';
import { startRouter } from '../../src/server.ts';
import { Closers } from '../helpers/closers.ts';
import { CommandLine } from '../helpers/command-line.ts';
import { withDeadline } from '../helpers/deadline.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream } from '../helpers/patient-upstream.ts';
import { ask, openSession, pollingTarget } from '../helpers/polling.ts';
import { Queue } from '../helpers/queue.ts';
import { onRequestHead, startRawUpstream } from '../helpers/raw-upstream.ts';
import { recordingLog } from '../helpers/recording-log.ts';

const closers = new Closers();
afterEach(() => closers.close());

async function startUpstream(name: string): Promise<PatientUpstream> {
  return closers.add(await startPatientUpstream(name));
}

/** How many of these new sessions each upstream got. */
async function share(url: string, handshakes: number): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (let i = 0; i < handshakes; i += 1) {
    const name = (await openSession(url)).replace(/-.*/, '');
    counts[name] = (counts[name] ?? 0) + 1;
  }
  return counts;
}

test('SIGHUP brings a new file into force, a bad one changes nothing, and neither cuts anything', async () => {
  const first = await startUpstream('first');
  const second = await startUpstream('second');
  const common = { balance: 'round-robin', health: { interval: '1h', check: 'tcp' } };
  const program = closers.add(
    new CommandLine({ upstreams: [{ id: 'first', url: first.url }], ...common }),
  );
  const url = await program.url();

  const client = new WebSocket(`${url.replace('http', 'ws')}/socket.io/?EIO=4&transport=websocket`);
  closers.add({ close: () => client.terminate() });
  const [server] = await Promise.all([first.socket(), once(client, 'message')]);
  const poll = ask(pollingTarget(url, await openSession(url)));
  const held = await first.request();
  expect(await share(url, 4)).toEqual({ first: 4 });

  program.configure({
    upstreams: [
      { id: 'first', url: first.url },
      { id: 'second', url: second.url, weight: 3 },
    ],
    ...common,
  });
  program.signal('SIGHUP');
  await program.logged('configuration reloaded');
  expect(await share(url, 8)).toEqual({ first: 2, second: 6 });

  program.configure('upstreams: http://a:1\nlisten: 127.0.0.1:0\nbalance: rondom\ntimeout: 5s\n');
  program.signal('SIGHUP');
  const { problems } = await program.logged('configuration is invalid: the old one stays in force');
  expect(problems).toEqual([
    expect.stringMatching(/unsticky\.yaml:3:10: balance: .*random/),
    expect.stringMatching(/unsticky\.yaml:4:1: timeout: .*timeouts/),
  ]);
  expect(await share(url, 8)).toEqual({ first: 2, second: 6 });

  // A weight alone: the upstreams stay the same, and so do their connections.
  program.configure({
    upstreams: [
      { id: 'first', url: first.url },
      { id: 'second', url: second.url },
    ],
    ...common,
  });
  program.signal('SIGHUP');
  await program.logged('configuration reloaded', 2);
  expect(await share(url, 8)).toEqual({ first: 4, second: 4 });

  const message = once(client, 'message') as Promise<[Buffer]>;
  server.send('4still here');
  const [text] = await withDeadline(message, 2_000, 'a message through the tunnel');
  expect(text.toString()).toBe('4still here');
  held.res.end('4still here');
  expect((await poll).body.toString()).toBe('4still here');
});

test('an upstream that is taken out loses its sessions, not the requests under way', async () => {
  const first = await startUpstream('first');
  const second = await startUpstream('second');
  const program = closers.add(new CommandLine({ upstreams: first.url }));
  const url = await program.url();
  const sid = await openSession(url);
  const poll = ask(pollingTarget(url, sid));
  const held = await first.request();

  program.configure({ upstreams: second.url });
  program.signal('SIGHUP');
  await program.logged('configuration reloaded');
  expect(await share(url, 2)).toEqual({ second: 2 });
  held.res.end('4the answer');
  expect((await poll).body.toString()).toBe('4the answer');
  expect((await ask(pollingTarget(url, sid))).body.toString()).toContain('Session ID unknown');
});

test('a handshake whose upstream a reload takes away is made again on another', async () => {
  const text = (url: string): string =>
    JSON.stringify({
      listen: '127.0.0.1:0',
      health: { interval: '1h', check: 'tcp' },
      upstreams: url,
    });
  const arrived = new Queue<Socket>();
  const slow = closers.add(
    await startRawUpstream((socket) => {
      onRequestHead(socket, () => arrived.add(socket));
    }),
  );
  const next = await startUpstream('next');
  const slowUrl = `http://127.0.0.1:${String(slow.port)}`;
  const { log } = recordingLog();
  const router = await startRouter(loadConfig({ text: text(slowUrl) }), log);
  closers.add({ close: () => router.destroy() });
  const url = `http://127.0.0.1:${String(router.addresses[0]?.port)}`;

  const opened = openSession(url);
  const socket = await withDeadline(arrived.take(), 5_000, 'the handshake arrives');
  router.reconfigure(loadConfig({ text: text(next.url) }));
  const open = '0{"sid":"slow-0","upgrades":[],"pingInterval":25000,"pingTimeout":20000}';
  socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${String(open.length)}\r\n\r\n${open}`);
  expect(await opened).toMatch(/^next/);
});
