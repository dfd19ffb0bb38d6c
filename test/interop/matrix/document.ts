import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { format } from 'prettier';
import type { ServerKind } from './contract.ts';
import { CLIENTS, SERVERS, whyIncompatible } from './kinds.ts';
import { canUse, failures, nameOf, score, TRANSPORTS, type Result, WAYS } from './results.ts';
import { STEPS, type Outcome } from './scenario.ts';
import { TOPOLOGIES } from './stage.ts';
import type { KindReport } from './tournament.ts';

const ROOT = join(import.meta.dirname, '../../..');

/** Where the document lies. */
export const DOCUMENT: string = join(ROOT, 'docs/compatibility.md');

/** All that a whole run has shown, in Markdown. */
export async function compose(reports: readonly KindReport[]): Promise<string> {
  const results = reports.flatMap((report) => report.results);
  const sections = [
    '# Compatibility',
    introduction(results),
    '## Servers',
    table(
      ['Server', 'Language', 'Library', 'Version', 'Settings', 'Engine.IO'],
      SERVERS.map(({ id, language, library, version, settings, revisions }) => [
        `\`${id}\``,
        language,
        library,
        version,
        settings,
        revisions.join(', '),
      ]),
    ),
    '## Clients',
    table(
      ['Client', 'Language', 'Library', 'Version', 'Engine.IO'],
      CLIENTS.map(({ id, language, library, version, revision }) => [
        `\`${id}\``,
        language,
        library,
        version,
        String(revision),
      ]),
    ),
    '## Scenario',
    'Every pair goes through these steps, in this order:',
    STEPS.map(({ name }, index) => `${index + 1}. ${name}`).join('\n'),
    'on each of these ways:',
    WAYS.map((way) => `- ${way}: ${TOPOLOGIES[way]}`).join('\n'),
    ...list(
      'Left out, because the server loses or mangles it without the router as well:',
      spoils(),
    ),
    '## Results',
    `Each field: ${WAYS.join(' · ')}. ✓ passed, ✗ failed, – cannot be chosen in the client.`,
    resultTable(results),
    ...list('## Failures', failures(results, 'routed')),
    ...list('## What fails without the router, too', failures(results, 'direct')),
    '## A client that is gone without a word',
    `How long it takes until its server says so, in seconds, at most, ${WAYS.join(' · ')}:`,
    dropTable(reports),
    '## How a server says that it does not know a session',
    table(
      ['Server', 'Poll', 'POST', 'WebSocket upgrade'],
      reports.map(({ server, unknown }) => [
        `\`${server.id}\``,
        ...['poll', 'POST', 'upgrade'].map((question) => {
          const answer = unknown.find((one) => one.question === question);
          if (answer === undefined) return '';
          const told = answer.recognised === undefined ? ' (not told apart from any refusal)' : '';
          return `\`${answer.said}\`${told}`;
        }),
      ]),
    ),
    '## Not compatible',
    'These are not for each other, with or without a router.',
    table(['Server', 'Clients', 'Why'], SERVERS.flatMap(refusals)),
  ];
  return format(`${sections.join('\n\n')}\n`, { parser: 'markdown', printWidth: 100 });
}

/** The table of results for a terminal. */
export function resultLines(results: readonly Result[]): string[] {
  const rows = [['server', 'client', ...TRANSPORTS.map(nameOf)], ...resultRows(results)];
  const widths = rows[0]?.map((_cell, i) => Math.max(...rows.map((row) => row[i]?.length ?? 0)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths?.[i] ?? 0)).join('  '));
}

function introduction(results: readonly Result[]): string {
  const { passed, counted } = score(results);
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  const date = new Date().toISOString().slice(0, 10);
  const machine = `Node.js ${process.version}, ${process.platform}, ${cpus().length} cores`;
  return [
    `Written by \`npm run test:interop\` on ${date}: unsticky ${version}, ${machine}.`,
    `${SERVERS.length} kinds of servers and ${CLIENTS.length} kinds of clients, each its library`,
    `as published. Of ${counted} scenarios that pass without the router, ${passed} pass with it.`,
  ].join('\n');
}

function resultTable(results: readonly Result[]): string {
  const rows = resultRows(results).map(([server, client, ...cells]) => [
    `\`${server ?? ''}\``,
    `\`${client ?? ''}\``,
    ...cells,
  ]);
  return table(['Server', 'Client', ...TRANSPORTS.map(nameOf)], rows);
}

function resultRows(results: readonly Result[]): string[][] {
  return SERVERS.flatMap((server) =>
    CLIENTS.flatMap((client) => {
      const own = results.filter((one) => one.server === server && one.client === client);
      if (own.length === 0) return [];
      const cells = TRANSPORTS.map((transports) => {
        if (!canUse(client, transports)) return '–';
        const result = own.find((one) => one.transports === transports);
        return WAYS.map((way) => mark(result?.outcomes[way])).join(' ');
      });
      return [[server.id, client.id, ...cells]];
    }),
  );
}

function mark(outcome: Outcome | undefined): string {
  switch (outcome?.kind) {
    case 'passed':
      return '✓';
    case 'failed':
      return '✗';
    case undefined:
      return '?';
  }
}

function dropTable(reports: readonly KindReport[]): string {
  const rows = reports.map(({ server, results }) => [
    `\`${server.id}\``,
    ...TRANSPORTS.map((transports) => {
      const own = results.filter((one) => one.transports === transports);
      return WAYS.map((way) => slowest(own.map(({ outcomes }) => outcomes[way]))).join(' · ');
    }),
  ]);
  return table(['Server', ...TRANSPORTS.map(nameOf)], rows);
}

function slowest(outcomes: readonly Outcome[]): string {
  const times = outcomes.flatMap((one) => (one.kind === 'passed' ? [one.dropSeenMs] : []));
  return times.length === 0 ? '–' : (Math.max(...times) / 1000).toFixed(1);
}

/** What is left out of the scenario, a line for a server and a transport. */
function spoils(): string[] {
  return SERVERS.flatMap(({ id, spoils: own = {} }) =>
    Object.entries(own).map(([transport, what]) => `${id}, ${transport}: ${what.join(', ')}`),
  );
}

/** A server's rows of the last table: a reason, and to whom it applies. */
function refusals(server: ServerKind): string[][] {
  const clients = new Map<string, string[]>();
  for (const client of CLIENTS) {
    const why = whyIncompatible(server, client);
    if (why === undefined) continue;
    clients.set(why, [...(clients.get(why) ?? []), `\`${client.id}\``]);
  }
  return [...clients].map(([why, ids]) => [`\`${server.id}\``, ids.join(', '), why]);
}

function list(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : [title, lines.map((line) => `- ${escape(line)}`).join('\n')];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|').replaceAll('\n', ' ')).join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

/** Words of a library are no Markdown. */
function escape(line: string): string {
  return line
    .replaceAll(/\s+/g, ' ')
    .replaceAll(/[\\`*_<>[\]]/g, '\\$&')
    .slice(0, 300);
}
