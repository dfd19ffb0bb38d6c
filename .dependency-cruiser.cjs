/**
 * The layering of src/: imports run downwards only.
 *
 *   cli -> server, admin -> router, routes, guard, traffic -> forward, upstreams, sessions
 *       -> config, engineio, headers, log and their like -> errors
 *
 * @type {import('dependency-cruiser').IConfiguration}
 */
const layers = [
  '^src/(cli/|index[.]ts$)',
  '^src/((server|listeners|hardening|restart)[.]ts$|admin/)',
  '^src/((router|routes|guard)[.]ts$|traffic/)',
  '^src/(forward|upstreams|sessions)/',
  '^src/(config/|engineio/|(headers|forwarding|deadlines|counters|log|log-writer)[.]ts$)',
  '^src/errors[.]ts$',
];

const downwards = layers.slice(1).map((layer, above) => ({
  name: `downwards-${String(above + 1)}`,
  comment: 'A lower layer that knows a higher one cannot be read, tested or replaced alone.',
  severity: 'error',
  from: { path: layer },
  to: { path: layers.slice(0, above + 1) },
}));

const homes = [
  { packages: ['ioredis'], home: '^src/sessions/', why: 'only the session store talks to Redis' },
  { packages: ['commander'], home: '^src/cli/', why: 'only the command line reads arguments' },
  {
    packages: ['yaml', 'zod'],
    home: '^src/config/',
    why: 'outside data is checked once, at the edge; inside there is only the frozen Config',
  },
  {
    packages: ['http-proxy', 'ws', 'send'],
    home: '^src/forward/',
    why: 'what carries bytes stays in one folder, so that it can be replaced there',
  },
  {
    packages: ['pino', 'pino-pretty'],
    home: '^src/log(-writer)?[.]ts$',
    why: 'log lines are shaped in one place, where secrets are kept out of them',
  },
].map(({ packages, home, why }) => ({
  name: `one-home-for-${packages[0]}`,
  comment: why,
  severity: 'error',
  from: { path: '^(src|bin)/', pathNot: home },
  to: { path: `node_modules/(${packages.join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...downwards,
    ...homes,
    {
      name: 'no-cycle',
      comment: 'Modules that import each other are one module in two files.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'nothing-unlisted',
      comment: 'The package installs with its dependencies only: no phantom or dev package in src.',
      severity: 'error',
      from: { path: '^src/' },
      to: {
        dependencyTypes: ['npm-dev', 'npm-no-pkg'],
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'everything-resolves',
      comment: 'An import that leads nowhere would pass every other rule unseen.',
      severity: 'error',
      from: { path: '^src/' },
      to: { couldNotResolve: true },
    },
    {
      name: 'pure-modules',
      comment:
        'What a URL, header or packet means is decided without I/O, so that it can be tested with bytes alone.',
      severity: 'error',
      from: { path: '^src/(engineio/|headers[.]ts$|errors[.]ts$)' },
      to: {
        dependencyTypes: ['core', 'npm'],
        // Inflating a handshake answer is computation; node:buffer and node:url are too.
        pathNot: '^(node:)?(buffer|url|zlib|querystring)$',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'forward-knows-no-session',
      comment:
        'Forwarding carries bytes to an upstream that it is given: it knows no sid and no store.',
      severity: 'error',
      from: { path: '^src/forward/' },
      to: { path: '^src/(sessions|engineio)/' },
    },
    {
      name: 'sessions-know-no-http',
      comment: 'A store keeps bindings. Who asks for them, and over what, is not its business.',
      severity: 'error',
      from: { path: '^src/sessions/' },
      to: { path: '^(node:)?(http|https|http2)$|^src/forward/' },
    },
    {
      name: 'router-opens-no-socket',
      comment:
        'Routing decides and hands over; only what it hands over to connects to an upstream.',
      severity: 'error',
      from: { path: '^src/((router|routes|guard)[.]ts$|traffic/)' },
      to: { path: '^src/forward/(dial|connection|connection-pool)[.]ts$|^(node:)?(https|http2)$' },
    },
    {
      name: 'src-stands-alone',
      comment: 'Tests and examples use the product, never the other way round.',
      severity: 'error',
      from: { path: '^src/' },
      to: { path: '^(test|examples|bench|bin)/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'types', 'default'],
      extensions: ['.ts', '.js'],
    },
  },
};
