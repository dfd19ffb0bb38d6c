import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { startRouter } from '../../src/server.ts';
import { RawClient } from '../helpers/raw-client.ts';
import { RECORDED_SID, RecordingBackend } from '../helpers/recording-backend.ts';
import type { RecordedRequest } from '../helpers/recording-backend.ts';
import { recordingLog } from '../helpers/recording-log.ts';
import { DIFFERENCES } from './differences.ts';
import type { Difference } from './differences.ts';
import { ODD_REQUESTS } from './odd-requests.ts';
import { startHaproxy, startNginx } from './oracles.ts';

/** One of the three that are compared, each in front of a backend of its own. */
interface Proxy {
  readonly name: 'us' | 'nginx' | 'haproxy';
  readonly address: number | string;
  readonly backend: RecordingBackend;
  close(): Promise<void>;
}

/** What became of an odd request. */
interface Outcome {
  readonly statuses: readonly number[];
  /** Complete requests that reached the backend. */
  readonly forwarded: readonly RecordedRequest[];
  /** Bytes at the backend that were no request. */
  readonly garbage: readonly string[];
}

/** Longer than any time limit of the three. */
const SETTLED_MS = 8_000;

const ROUTES = {
  application: '/odd',
  session: `/socket.io/?EIO=4&transport=polling&sid=${RECORDED_SID}`,
};

const proxies: Proxy[] = [];

async function startUs(): Promise<Proxy> {
  const backend = await RecordingBackend.start();
  const url = `http://127.0.0.1:${String(backend.port)}`;
  const settings = {
    listen: '127.0.0.1:0',
    upstreams: [url],
    routes: [{ path: '/', proxy: [url] }],
    timeouts: { clientHeader: '1s', clientRequest: '1s', connect: '1s', upstream: '5s' },
    health: { interval: '1h', check: 'tcp' },
  };
  const router = await startRouter(
    loadConfig({ text: JSON.stringify(settings) }),
    recordingLog().log,
  );
  const address = router.addresses[0]?.port ?? 0;
  const close = async (): Promise<void> => {
    await router.destroy();
    await backend.close();
  };
  return { name: 'us', address, backend, close };
}

async function startOther(name: 'nginx' | 'haproxy', start: typeof startNginx): Promise<Proxy> {
  const backend = await RecordingBackend.start();
  const oracle = await start(backend.port);
  const close = async (): Promise<void> => {
    await oracle.close();
    await backend.close();
  };
  return { name, address: oracle.socket, backend, close };
}

let canaries = 0;

/**
 * Another client's request through the same proxy. It must get its own answer: then the proxy
 * lives, and nothing that was sent before is waiting for an answer on the pooled connections.
 */
async function singCanary({ address, name }: Proxy): Promise<void> {
  canaries += 1;
  const target = `/canary/${String(canaries)}`;
  const client = new RawClient(address).send(`GET ${target} HTTP/1.1\r\nHost: a\r\n\r\n`);
  await client.until(new RegExp(`seen GET ${target}$`)).catch((error: unknown) => {
    throw new Error(`${name} no longer serves`, { cause: error });
  });
  client.close();
}

/** Who has hung: three hundred further hangs would take an hour and say no more. */
let hung: Proxy['name'] | undefined;

async function play(proxy: Proxy, bytes: string, answers: number): Promise<Outcome> {
  const { backend } = proxy;
  const from = { requests: backend.requests.length, garbage: backend.garbage.length };
  if (hung !== undefined) throw new Error(`not tried: ${hung} has left a connection hanging`);
  const client = new RawClient(proxy.address).send(bytes);
  const statuses = await client.untilSettled(answers, SETTLED_MS).catch((error: unknown) => {
    hung = proxy.name;
    throw error;
  });
  client.close();
  await singCanary(proxy);
  return {
    statuses,
    forwarded: backend.requests
      .slice(from.requests)
      .filter(({ target }) => !target.startsWith('/canary/')),
    garbage: backend.garbage.slice(from.garbage),
  };
}

const CASES = ODD_REQUESTS.filter(({ endless }) => endless !== true).flatMap((odd) =>
  Object.entries(ROUTES)
    .filter(([route]) => route === 'application' || odd.bytes.includes('{target}'))
    .map(([route, target]) => ({
      odd: odd.name,
      name: route === 'application' ? odd.name : `${odd.name}, to a ${route}`,
      bytes: odd.bytes.replaceAll('{target}', target),
      holds: odd.holds ?? 1,
      raced: odd.raced ?? false,
    })),
);
const ENDLESS = ODD_REQUESTS.filter(({ endless }) => endless === true);

/** What we mean to do with a request on which the others do not agree with us. */
function intended(name: string, odd: string): Difference['we'] | undefined {
  const listed = (key: string): Difference | undefined =>
    DIFFERENCES.find(({ requests }) => requests.includes(key));
  return (listed(name) ?? listed(odd))?.we;
}

function verdictOf({ forwarded, garbage }: Outcome): Difference['we'] {
  return forwarded.length + garbage.length > 0 ? 'forward' : 'refuse';
}

beforeAll(async () => {
  proxies.push(
    await startUs(),
    await startOther('nginx', startNginx),
    await startOther('haproxy', startHaproxy),
  );
  for (const { address } of proxies) {
    const handshake = 'GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n';
    const client = new RawClient(address).send(handshake);
    await client.until(new RegExp(`"sid":"${RECORDED_SID}"`));
    client.close();
  }
});

afterAll(async () => {
  await Promise.all(proxies.map(async (proxy) => proxy.close()));
});

test('the corpus is large, and the differences name requests of it', () => {
  const names = ODD_REQUESTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(names.length).toBeGreaterThanOrEqual(78);
  const known = [...names, ...CASES.map(({ name }) => name)];
  const listed = DIFFERENCES.flatMap(({ requests }) => requests);
  expect(listed.filter((name) => !known.includes(name))).toEqual([]);
});

test.each(CASES)('$name', async ({ name, odd, bytes, holds, raced }) => {
  const [ours, ...others] = await Promise.all(
    proxies.map(async (proxy) => play(proxy, bytes, holds)),
  );
  if (ours === undefined) throw new Error('no proxy was started');

  // Nothing but the requests that were sent reaches an upstream.
  expect(ours.garbage).toEqual([]);
  expect(ours.forwarded.length).toBeLessThanOrEqual(holds);
  for (const { method, target, body } of ours.forwarded) {
    expect(target).not.toBe('/smuggled');
    expect(bytes.replaceAll(/ +/g, ' ')).toContain(`${method} ${target} HTTP/1.`);
    expect(bytes).toContain(body);
  }

  if (raced) return;
  const we = verdictOf(ours);
  const verdicts = others.map(verdictOf);
  if (!verdicts.includes('forward')) expect(we, 'both others refuse').toBe('refuse');
  const meant = intended(name, odd);
  if (meant === undefined) expect(verdicts, 'if it is meant, list it').toEqual([we, we]);
  else expect(we).toBe(meant);
});

test('requests that never end are closed in time, and none of them is taken for complete', async () => {
  for (const { backend } of proxies) backend.requests.length = 0;
  await Promise.all(
    proxies.flatMap(({ address }) =>
      ENDLESS.map(async ({ bytes }) => {
        const client = new RawClient(address).send(bytes.replaceAll('{target}', '/odd'));
        await client.untilSettled(1, SETTLED_MS);
        client.close();
      }),
    ),
  );
  expect(proxies.flatMap(({ backend }) => backend.requests)).toEqual([]);
  for (const proxy of proxies) await singCanary(proxy);
});
