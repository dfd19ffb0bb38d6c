import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { LoadOptions } from '../../src/config/load.ts';
import { loadConfig } from '../../src/config/load.ts';
import { ConfigError, formatProblem, summarizeProblem } from '../../src/config/problem.ts';

const UPSTREAM = 'upstreams: http://127.0.0.1:10015\n';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'unsticky-config-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
});

function problemsOf(options: LoadOptions): readonly string[] {
  try {
    loadConfig(options);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map(summarizeProblem);
    throw error;
  }
}

describe('a configuration', () => {
  test('with nothing but an upstream is made of defaults', () => {
    expect(loadConfig({ text: UPSTREAM })).toEqual({
      listen: [{ host: '127.0.0.1', port: 8099, tls: undefined }],
      store: { kind: 'memory' },
      paths: ['/socket.io/'],
      upstreams: [
        {
          id: '127.0.0.1:10015',
          url: 'http://127.0.0.1:10015',
          host: '127.0.0.1',
          port: 10_015,
          tls: false,
          weight: 1,
        },
      ],
      balance: 'least-sessions',
      ioCookie: 'withhold',
      admin: undefined,
      routes: [],
      trustProxies: [],
      limits: {
        bodyBytes: 104_857_600,
        headerLines: 100,
        cachedBindings: 100_000,
        memoryBindings: 1_000_000,
      },
      timeouts: {
        connectMs: 2000,
        handshakeMs: 20_000,
        upstreamMs: 100_000,
        upgradeMs: 10_000,
        clientHeaderMs: 10_000,
        clientRequestMs: 60_000,
        keepAliveMs: 65_000,
        shutdownMs: 30_000,
      },
      health: { intervalMs: 5000, timeoutMs: 3000, check: { kind: 'handshake' } },
      log: { level: 'info', access: true },
    });
  });

  test('is frozen to its leaves', () => {
    const config = loadConfig({ text: UPSTREAM });
    const parts = [config, config.listen, config.upstreams[0], config.health.check, config.store];
    expect(parts.map((part) => Object.isFrozen(part))).toEqual(parts.map(() => true));
  });

  test('without any Redis key but the URL has the defaults of a Redis store', () => {
    expect(loadConfig({ text: `${UPSTREAM}store: rediss://u:p@cache/2` }).store).toEqual({
      kind: 'redis',
      topology: { kind: 'single', url: 'rediss://cache:6379' },
      username: 'u',
      password: 'p',
      database: 2,
      tls: { ca: undefined },
      keyPrefix: 'unsticky:',
      commandTimeoutMs: 250,
      required: false,
    });
  });

  test('takes health checks, TLS and routes in all their forms', () => {
    mkdirSync(join(folder, 'public'));
    const text = `${UPSTREAM}
routes: {path: /, static: public}
health: {check: {http: /healthz?full=1}}
listen: [8099, {address: "[::1]:0"}]
trustProxies: 10.0.0.1
path: [/a, /b/]
`;
    expect(loadConfig({ file: 'a.yaml', text, folder })).toMatchObject({
      routes: [{ kind: 'static', path: '/', directory: join(folder, 'public') }],
      health: { check: { kind: 'http', path: '/healthz?full=1' } },
      listen: [{ port: 8099 }, { host: '::1', port: 0, tls: undefined }],
      trustProxies: ['10.0.0.1/32'],
      paths: ['/a/', '/b/'],
    });
  });
});

describe('a configuration file', () => {
  test.each<[name: string, content: string | Buffer | undefined, problem: string]>([
    ['missing.yaml', undefined, 'missing.yaml: cannot be read: no such file or directory'],
    ['latin.yaml', Buffer.from([0x61, 0xff]), 'latin.yaml: is not valid UTF-8'],
    ['huge.yaml', 'a'.repeat(1024 * 1024 + 1), 'huge.yaml: is larger than 1 MB'],
  ])('%s is told by name', (file, content, problem) => {
    if (content !== undefined) writeFileSync(join(folder, file), content);
    expect(problemsOf({ file, folder })).toEqual([problem]);
  });

  test('that is a directory or a device without end is told by name', () => {
    expect(problemsOf({ file: '.', folder })).toEqual(['.: cannot be read: it is a directory']);
    expect(problemsOf({ file: '/dev/zero' })).toEqual(['/dev/zero: is larger than 1 MB']);
  });

  test('with a byte order mark and CRLF line ends has the same lines and columns', () => {
    writeFileSync(
      join(folder, 'a.yaml'),
      `\ufeff${UPSTREAM}workers: 2\r\n`.replaceAll('\n', '\r\n'),
    );
    expect(problemsOf({ file: 'a.yaml', folder })[0]).toMatch(/^a\.yaml:2:10: workers: /);
  });
});

describe('certificates', () => {
  const pem = (name: string): void => {
    const args = `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=a -keyout ${name}.key -out ${name}.pem`;
    execFileSync('openssl', args.split(' '), { cwd: folder, stdio: 'ignore' });
  };
  const listen = (cert: string, key: string): LoadOptions => ({
    file: 'a.yaml',
    folder,
    text: `${UPSTREAM}listen:\n  address: :1\n  tls: {cert: ${cert}, key: ${key}}\n`,
  });

  test('that belong to their key are accepted, with absolute names', () => {
    pem('a');
    expect(loadConfig(listen('a.pem', 'a.key')).listen[0]?.tls).toEqual({
      cert: join(folder, 'a.pem'),
      key: join(folder, 'a.key'),
    });
  });

  test('that belong to another key are told', () => {
    pem('a');
    pem('b');
    expect(problemsOf(listen('a.pem', 'b.key'))).toEqual([
      `a.yaml:4:27: listen.tls.key: the key ${folder}/b.key does not belong to the certificate ${folder}/a.pem`,
    ]);
  });

  test('that are no PEM are told by name', () => {
    writeFileSync(join(folder, 'text'), 'hello');
    expect(problemsOf(listen('text', 'text'))).toEqual([
      `a.yaml:4:15: listen.tls.cert: cannot use the certificate ${folder}/text: it is no PEM file`,
      `a.yaml:4:26: listen.tls.key: cannot use the key ${folder}/text: it is no PEM file`,
    ]);
  });

  test('of a Redis that cannot be read are told', () => {
    const text = `${UPSTREAM}store: {redis: {url: "redis://cache", tls: {ca: ca.pem}}}\n`;
    expect(problemsOf({ file: 'a.yaml', folder, text })).toEqual([
      `a.yaml:2:49: store.redis.tls.ca: cannot use the authorities ${folder}/ca.pem: no such file or directory`,
    ]);
  });
});

describe('precedence', () => {
  const text = `${UPSTREAM}listen: :1\nlog: {level: error, access: false}\nstore: {required: true, redis: {url: "redis://file", username: f, keyPrefix: x}}\n`;

  test('the environment wins over the file, item by item', () => {
    const environment = {
      UNSTICKY_LISTEN: ':2, :3',
      UNSTICKY_UPSTREAMS: 'http://a:1 http://b:1',
      UNSTICKY_LOG_LEVEL: 'debug',
      UNSTICKY_ADMIN: '9099',
      UNSTICKY_STORE: '',
      UNSTICKY_PORT: 'tcp://10.0.0.1:80',
    };
    const config = loadConfig({ text, environment });
    expect(config.listen.map(({ port }) => port)).toEqual([2, 3]);
    expect(config.upstreams.map(({ id }) => id)).toEqual(['a:1', 'b:1']);
    expect(config.log).toEqual({ level: 'debug', access: false });
    expect(config.admin?.port).toBe(9099);
    expect(config.store).toMatchObject({ topology: { url: 'redis://file:6379' }, required: true });
  });

  test('a flag wins over the environment', () => {
    const environment = {
      UNSTICKY_LISTEN: ':2',
      UNSTICKY_STORE: 'memory',
      UNSTICKY_LOG_LEVEL: 'x',
    };
    const flags = { listen: [':3'], store: 'redis://flag', logLevel: 'warn' };
    const config = loadConfig({ text, environment, flags });
    expect(config.listen.map(({ port }) => port)).toEqual([3]);
    expect(config.store).toMatchObject({ topology: { url: 'redis://flag:6379' } });
    expect(config.log.level).toBe('warn');
  });

  test('another Redis keeps what the file says about its use, not its user', () => {
    const environment = { UNSTICKY_STORE: 'redis://env', UNSTICKY_REDIS_PASSWORD: 'p' };
    expect(loadConfig({ text, environment }).store).toMatchObject({
      topology: { url: 'redis://env:6379' },
      username: undefined,
      password: 'p',
      keyPrefix: 'x',
      required: true,
    });
  });

  test('a password from the environment joins a URL in the file', () => {
    const environment = { UNSTICKY_REDIS_PASSWORD: 'p' };
    const store = (value: string) =>
      loadConfig({ text: `${UPSTREAM}store: ${value}`, environment }).store;
    expect(store('redis://cache')).toMatchObject({ password: 'p' });
    expect(store('memory')).toEqual({ kind: 'memory' });
  });

  test('problems name the flag or variable that they come from', () => {
    const flags = { listen: [':1', 'x'], upstream: ['ftp://a'], workers: '2', logLevel: 'loud' };
    const environment = { UNSTICKY_STORE: 'redis://:hunter2@', UNSTICKY_ADMIN: '0.0.0.0:1' };
    const problems = problemsOf({ flags, environment });
    expect(problems.map((problem) => problem.replace(/:.*/, '')).toSorted()).toEqual([
      '--listen',
      '--log-level',
      '--upstream',
      '--workers',
      'UNSTICKY_ADMIN',
      'UNSTICKY_STORE',
    ]);
    expect(problems.join()).not.toContain('hunter2');
  });

  test('without any file the missing upstreams are told', () => {
    expect(problemsOf({})).toEqual([
      'upstreams: is missing: expected a list of URLs such as http://127.0.0.1:10015',
    ]);
  });
});

describe('whatever the text', () => {
  const word = fc.constantFrom(
    ...[
      'listen',
      'store',
      'redis',
      'url',
      'upstreams',
      'routes',
      'path',
      'static',
      'timeouts',
      'tls',
    ],
    ...[
      'http://a:1',
      '8099',
      '1s',
      'null',
      '~',
      '-1',
      '.inf',
      '0x10',
      '__proto__',
      'toString',
      '/',
    ],
    ...[
      '&a',
      '*a',
      '!!set',
      '!!binary',
      '<<',
      '? ',
      '|',
      '>-',
      '%YAML 1.1',
      '---',
      '...',
      '\ufeff',
    ],
    ...[
      ': ',
      '- ',
      '\n',
      '\n  ',
      '\t',
      '{',
      '}',
      '[',
      ']',
      ',',
      '"',
      "'",
      '#',
      '\\',
      '\0',
      '\ud800',
    ],
  );
  const yamlLike = fc.array(word, { maxLength: 40 }).map((words) => words.join(''));
  const tree = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.constantFrom(null, true, 0, -1.5, 1e300, '', 'http://a:1', '1s', '10mb', 'memory', '/'),
      fc.array(tie('value'), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          'listen',
          'store',
          'redis',
          'upstreams',
          'url',
          'id',
          'routes',
          'path',
          'log',
          'limits',
          'body',
          'health',
          'check',
          'http',
          '__proto__',
          'x',
        ),
        tie('value'),
      ),
    ),
  })).value;

  test.each([
    ['any text', fc.string({ unit: 'binary', maxLength: 200 })],
    ['pieces of YAML', yamlLike],
    ['any tree', tree.map((value) => JSON.stringify(value))],
  ])('loadConfig gives a configuration or a ConfigError with places: %s', (_name, texts) => {
    fc.assert(
      fc.property(texts, (text) => {
        try {
          return Object.isFrozen(loadConfig({ file: 'a.yaml', text, folder }));
        } catch (error) {
          if (!(error instanceof ConfigError)) throw error;
          const placed = error.problems.every(
            ({ line = 0, column = 0 }) =>
              line >= 1 && column >= 1 && line <= text.split('\n').length,
          );
          return placed && error.problems.length > 0 && error.problems.every(formatProblem);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
