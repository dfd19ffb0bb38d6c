import { createHash } from 'node:crypto';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Closers } from '../helpers/closers.ts';
import { startPatientUpstream } from '../helpers/patient-upstream.ts';
import type { PatientUpstream } from '../helpers/patient-upstream.ts';
import { ask, openSession, pollingTarget } from '../helpers/polling.ts';
import type { Answer, Question } from '../helpers/polling.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { startRedis } from '../helpers/redis.ts';
import { startTestRouter } from '../helpers/router.ts';
import type { TestRouter } from '../helpers/router.ts';

const PASSWORD = 'hunter2-secret';

const closers = new Closers();
let upstream: PatientUpstream;
let router: TestRouter;

beforeAll(async () => {
  const redis = closers.add(await startRedis(['--requirepass', PASSWORD]));
  upstream = closers.add(await startPatientUpstream('chat'));
  router = closers.add(
    await startTestRouter({
      upstreams: [{ id: 'chat-1', url: upstream.url }],
      store: redis.url.replace('//', `//:${PASSWORD}@`),
      admin: '127.0.0.1:0',
    }),
  );
});
afterAll(() => closers.close());

async function askAdmin(path: string, question?: Question): Promise<Answer> {
  return ask(`http://127.0.0.1:${String(router.router.adminPort)}${path}`, question);
}

function json({ body }: Answer): unknown {
  return JSON.parse(body.toString());
}

test('says that the router lives and is ready', async () => {
  const live = await askAdmin('/health/live');
  expect([live.status, json(live)]).toEqual([200, { live: true }]);
  const ready = await askAdmin('/health/ready?from=probe');
  expect([ready.status, json(ready)]).toEqual([200, { ready: true }]);
  expect(ready.headers).toMatchObject({
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  });
  expect((await askAdmin('/health/live', { method: 'HEAD' })).status).toBe(200);
});

test('the status tells what the router does, and no secret', async () => {
  const sid = await openSession(router.url);
  const poll = ask(pollingTarget(router.url, sid));
  const held = await upstream.request();
  const answer = await askAdmin('/api/v1/status');
  expect(answer.status).toBe(200);
  expect(json(answer)).toMatchObject({
    replica: expect.stringMatching(/^[0-9a-f]{12}$/) as string,
    startedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/) as string,
    closing: false,
    store: { kind: 'redis', available: true },
    upstreams: [
      {
        id: 'chat-1',
        health: 'healthy',
        available: true,
        flavour: expect.any(String) as string,
        sessions: 1,
        handshakesInFlight: 0,
      },
    ],
    sessions: 1,
    requestsInFlight: 1,
    tunnels: 0,
    counters: { handshakes: 1, sessionRequests: 1, lostSessions: 0 },
    lookUps: { unknown: 0 },
  });
  const text = answer.body.toString();
  expect(text).not.toContain(sid);
  expect(text).not.toContain(createHash('sha256').update(sid).digest('hex').slice(0, 8));
  expect(text).not.toContain(PASSWORD);
  held.res.end('6');
  await poll;
});

test.each(['evil.example', 'evil.example:80', '127.0.0.1.evil.example', '10.0.0.1', 'localhost.x'])(
  'a browser that was led here by the name %s is refused',
  async (host) => {
    for (const path of ['/health/live', '/api/v1/status']) {
      expect((await askAdmin(path, { headers: { host } })).status).toBe(403);
    }
  },
);

test('a request without a Host is refused', async () => {
  const client = closers.add(new RawClient(router.router.adminPort ?? 0));
  client.send('GET /api/v1/status HTTP/1.0\r\n\r\n');
  expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 403 /);
});

test.each(['localhost', 'localhost:9', '127.0.0.1', '[::1]:80'])(
  '%s is a name of this machine',
  async (host) => {
    expect((await askAdmin('/health/live', { headers: { host } })).status).toBe(200);
  },
);

test.each(['POST', 'PUT', 'DELETE', 'OPTIONS'])(
  '%s gets 405 and is told what is allowed',
  async (method) => {
    const { status, headers } = await askAdmin('/api/v1/status', { method });
    expect([status, headers.allow]).toEqual([405, 'GET, HEAD']);
  },
);

test('another path gets 404', async () => {
  expect((await askAdmin('/')).status).toBe(404);
  expect((await askAdmin('/health/liveness')).status).toBe(404);
});

test('the public listener serves none of it', async () => {
  for (const path of ['/health/live', '/api/v1/status']) {
    expect((await ask(`${router.url}${path}`)).status).toBe(404);
  }
});

test('while the router ends it lives and is not ready', async () => {
  const front = closers.add(
    await startTestRouter({ upstreams: upstream.url, admin: '127.0.0.1:0' }),
  );
  const admin = `http://127.0.0.1:${String(front.router.adminPort)}`;
  const poll = ask(pollingTarget(front.url, await openSession(front.url)));
  const held = await upstream.request();
  const closed = front.router.close();
  const ready = await ask(`${admin}/health/ready`);
  expect([ready.status, json(ready)]).toEqual([503, { ready: false }]);
  expect((await ask(`${admin}/health/live`)).status).toBe(200);
  expect(json(await ask(`${admin}/api/v1/status`))).toMatchObject({ closing: true });
  held.res.end('6');
  expect((await poll).status).toBe(200);
  await closed;
  await expect(ask(`${admin}/health/live`)).rejects.toThrow('ECONNREFUSED');
});
