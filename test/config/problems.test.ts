import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import type { Problem } from '../../src/config/problem.ts';
import { ConfigError, formatProblem, summarizeProblem } from '../../src/config/problem.ts';

function problemsOf(text: string): readonly Problem[] {
  try {
    loadConfig({ file: 'a.yaml', text });
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

const OK = 'upstreams: http://127.0.0.1:10015\n';

describe('each mistake is told with its line, its column and what was expected', () => {
  test.each<[text: string, ...problems: string[]]>([
    [
      '',
      'a.yaml:1:1: upstreams: is missing: expected a list of URLs such as http://127.0.0.1:10015',
    ],
    ['- a', 'a.yaml:1:1: expected a mapping of keys such as listen and upstreams'],
    [
      'upstreams: []',
      'a.yaml:1:12: upstreams: expected a list of URLs such as http://127.0.0.1:10015, found an empty list',
    ],
    [
      'upstreams:\n  - 10.0.0.1:80\n',
      'a.yaml:2:5: upstreams[0]: expected a URL such as http://127.0.0.1:10015, found "10.0.0.1:80" (did you mean http://10.0.0.1:80?)',
    ],
    [
      'upstreams:\n  - {url: ftp://x, weigth: 2}\n',
      'a.yaml:2:11: upstreams[0].url: expected a URL such as http://127.0.0.1:10015, found "ftp://x" (only http:// and https:// are supported)',
      'a.yaml:2:20: upstreams[0].weigth: unknown key "weigth" (did you mean weight?)',
    ],
    [
      'upstreams:\n  - url: http://a:1\n    weight: 0\n  - {weight: 1001, url: http://b:1}\n',
      'a.yaml:3:13: upstreams[0].weight: expected a whole number from 1 to 1000, found 0',
      'a.yaml:4:14: upstreams[1].weight: expected a whole number from 1 to 1000, found 1001',
    ],
    [
      'upstreams: [http://a:1, http://b:1, http://A:1]',
      'a.yaml:1:37: upstreams[2]: http://a:1 is upstreams[0] already',
    ],
    [
      'upstreams:\n  - {id: x, url: http://a:1}\n  - {id: x, url: http://b:1}\n',
      'a.yaml:3:10: upstreams[1].id: the id x belongs to upstreams[0] already',
    ],
    [
      `upstreams: http://127.0.0.1:8099\n`,
      'a.yaml:1:12: upstreams: leads back to the router itself, which listens there (listen)',
    ],
    [
      `${OK}listen: /run/a.sock`,
      'a.yaml:2:9: listen: expected an address such as 127.0.0.1:8099, [::1]:8099, :8099 or 8099, found "/run/a.sock" (an address has no scheme and no path; Unix sockets are not supported)',
    ],
    [
      `${OK}listen: [8099, ":8099"]`,
      'a.yaml:2:16: listen[1]: 0.0.0.0:8099 is taken by listen[0] already',
    ],
    [`${OK}admin: 8099`, 'a.yaml:2:8: admin: 127.0.0.1:8099 is taken by listen already'],
    [
      `${OK}admin: 0.0.0.0:9099`,
      'a.yaml:2:8: admin: expected a loopback address such as 127.0.0.1:9099, found "0.0.0.0:9099" (it has no authentication in this version, so it stays on this machine)',
    ],
    [
      `${OK}listen: {address: 1, tls: {cert: /nowhere/c, key: /nowhere/k}}`,
      'a.yaml:2:34: listen.tls.cert: cannot use the certificate /nowhere/c: no such file or directory',
      'a.yaml:2:51: listen.tls.key: cannot use the key /nowhere/k: no such file or directory',
    ],
    [
      `${OK}timeouts: {connect: 5, upstreem: 1s}`,
      'a.yaml:2:21: timeouts.connect: expected a duration such as 500ms, 2s, 1m or 1h, found 5 (give it a unit: 5s)',
      'a.yaml:2:24: timeouts.upstreem: unknown key "upstreem" (did you mean upstream?)',
    ],
    [
      `${OK}timeouts:\n  clientHeader: 2m\n`,
      'a.yaml:3:17: timeouts.clientHeader: must not be longer than timeouts.clientRequest',
    ],
    [
      `${OK}timeouts:\n`,
      'a.yaml:2:10: timeouts: expected a mapping of connect, handshake, upstream, upgrade, clientHeader, clientRequest, keepAlive, shutdown, found nothing (give the key a value or remove it)',
    ],
    [
      `${OK}health: {interval: 1s, check: htp}`,
      'a.yaml:2:31: health.check: expected handshake, tcp or {http: /path}, found "htp"',
    ],
    [
      `${OK}health: {interval: 1s}`,
      'a.yaml:2:9: health.timeout: must not be longer than health.interval',
    ],
    [`${OK}body: 1mb`, 'a.yaml:2:1: body: unknown key "body" (did you mean limits.body?)'],
    [
      `${OK}limits: {headerLines: 1.5, body: 10}`,
      'a.yaml:2:23: limits.headerLines: expected a whole number from 16 to 2000, found 1.5',
      'a.yaml:2:34: limits.body: expected a size such as 512b, 100kb, 10mb or 1gb, found 10 (give it a unit: 10mb)',
    ],
    [
      `${OK}balance: least-session`,
      'a.yaml:2:10: balance: expected least-sessions, round-robin or random, found "least-session" (did you mean least-sessions?)',
    ],
    [
      `${OK}workers: auto`,
      'a.yaml:2:10: workers: expected 1, found "auto" (this version runs as one process; for more, start replicas that share a Redis)',
    ],
    [
      `${OK}path: [socket.io, /a, /a/b/]`,
      'a.yaml:2:8: path[0]: expected a path such as /socket.io/, found "socket.io" (a path begins with a slash)',
      'a.yaml:2:23: path[2]: /a/b/ and /a/ overlap (Engine.IO paths must not lie in one another)',
    ],
    [
      `${OK}path: /a/../b/`,
      'a.yaml:2:7: path: expected a path such as /socket.io/, found "/a/../b/" (a path has no //, /./ or /../)',
    ],
    [
      `${OK}routes:\n  - {path: /, static: /nowhere}\n  - {path: /api/, proxy: http://a}\n`,
      'a.yaml:3:23: routes[0].static: cannot read /nowhere: no such file or directory',
      'a.yaml:4:12: routes[1].path: /api/ is never reached: routes[0] (/) matches first (put the longer path first)',
    ],
    [
      `${OK}routes:\n  - {path: /socket.io, proxy: http://a}\n  - path: /x\n`,
      'a.yaml:3:12: routes[0].path: is never reached: /socket.io/ is an Engine.IO path',
      'a.yaml:4:5: routes[1]: expected either proxy or static, found a mapping',
    ],
    [
      `${OK}trustProxies: [10.0.0.0/33]`,
      'a.yaml:2:16: trustProxies[0]: expected a range such as 10.0.0.0/8 or an IP address, found "10.0.0.0/33" (the prefix is 0 to 32)',
    ],
    [`${OK}log: {access: yes}`, 'a.yaml:2:15: log.access: expected true or false, found "yes"'],
    [
      `${OK}store: {redis: {sentinels: [a:1]}}`,
      'a.yaml:2:16: store.redis: needs name, the name of the master, with sentinels',
    ],
    [
      `${OK}store: {redis: {cluster: [a:1], database: 1, keyPrefix: "{x}"}}`,
      'a.yaml:2:57: store.redis.keyPrefix: expected 1 to 64 printable characters without spaces and braces',
    ],
    [
      `${OK}store: {redis: {cluster: [a:1], database: 1}}`,
      'a.yaml:2:43: store.redis.database: a cluster has only database 0',
    ],
    [
      `${OK}__proto__: {a: 1}\nconstructor: 1\n`,
      'a.yaml:2:1: __proto__: unknown key "__proto__" (known here: listen, store, path, upstreams, balance, ioCookie, admin, routes, trustProxies, workers, limits, timeouts, health, log)',
      'a.yaml:3:1: constructor: unknown key "constructor" (known here: listen, store, path, upstreams, balance, ioCookie, admin, routes, trustProxies, workers, limits, timeouts, health, log)',
    ],
  ])('%j', (text, ...expected) => {
    expect(problemsOf(text).map(summarizeProblem).toSorted()).toEqual(expected.toSorted());
  });
});

describe('what is no plain YAML is told in the same form', () => {
  test.each<[text: string, ...problems: string[]]>([
    [
      'upstreams:\n\t- http://a:1',
      'a.yaml:2:1: is not valid YAML: tabs are not allowed as indentation (YAML is indented with spaces)',
    ],
    ['upstreams: "http://a:1\n', 'a.yaml:2:1: is not valid YAML: missing closing "quote'],
    [`${OK}${OK}`, 'a.yaml:2:1: this key stands in the mapping already'],
    [
      'upstreams: &a [http://a:1]\nroutes: *a\n',
      'a.yaml:2:9: YAML aliases are not supported (write the value out)',
    ],
    [
      `${OK}limits: !!set {}\n`,
      'a.yaml:2:9: is not valid YAML: unresolved tag: tag:yaml.org,2002:set',
    ],
    [`${OK}? [a]\n: b\n`, 'a.yaml:2:3: is not valid YAML: a key must be plain text'],
    [
      `${OK}---\n${OK}`,
      'a.yaml:2:1: is not valid YAML: source contains multiple documents; please use YAML.parseAllDocuments() (a configuration is one document: remove the line ---)',
    ],
    [
      '['.repeat(20_000),
      // How deep is too deep depends on the stack that Node gives.
      expect.stringMatching(/^a\.yaml:1:\d+: is not valid YAML: it is nested too deeply$/),
    ],
    ['a'.repeat(1024 * 1024 + 1), 'a.yaml: is larger than 1 MB'],
  ])('problem %#', (text, ...expected) => {
    expect(problemsOf(text).map(summarizeProblem)).toEqual(expected);
  });

  test('with the line and a caret under the mistake', () => {
    expect(problemsOf(`${OK}log:\n  level: inf\n`).map(formatProblem)).toEqual([
      [
        'a.yaml:3:10: log.level: expected fatal, error, warn, info, debug, trace or silent, found "inf"',
        '  3 |   level: inf',
        '    |          ^',
        '  hint: did you mean info?',
      ].join('\n'),
    ]);
  });
});

describe('a password is never repeated', () => {
  test.each([
    `store: redis://:hunter2@cache:port`,
    `store: redis://:hunter2@cache?x`,
    `store: redis://:hunter2/@cache`,
    `store: hunter2`,
    `store: [hunter2]`,
    `store: {"redis://:hunter2@cache": 1}`,
    `store: {redis: {url: "redis://cache", pasword: hunter2}}`,
    `store: {redis: {url: "redis://cache", password: [hunter2]}}`,
    `store: {redis: {url: "redis://cache", "hunter2@cache": hunter2}}`,
    `store: {redis: {url: "hunter2", keyPrefix: "hun ter2 hunter2"}}`,
    `store:\n  redis:\n    password: |\n      hunter2\n   bad`,
    `store: redis://:hunter2@cache:\n  bad: "hunter2`,
    `store: "redis://:hunter2@cache`,
    `{store: {redis: {password:\nhunter2 \nx: *y}}}`,
    `stor: redis://:hunter2@cache`,
    `balance: redis://:hunter2@cache`,
    `upstreams: redis://:hunter2@cache`,
    `"redis://:hunter2@cache": 1`,
  ])('%j', (text) => {
    const problems = problemsOf(text);
    expect(problems.length).toBeGreaterThan(0);
    expect(problems.map(formatProblem).join('\n')).not.toContain('hunter2');
    expect(String(new ConfigError(problems))).not.toContain('hunter2');
  });
});
