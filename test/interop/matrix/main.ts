import { writeFile } from 'node:fs/promises';
import type { ClientKind, ServerKind } from './contract.ts';
import { compose, DOCUMENT, resultLines } from './document.ts';
import { Limit } from './limit.ts';
import { failures, nameOf, ROUTED, score, type Result } from './results.ts';
import { missingPrograms, select, type Pair } from './selection.ts';
import { playAll, type KindReport } from './tournament.ts';

const BUILDS_AT_ONCE = 2;

/** Builds what the arguments select, plays it and reports; resolves with the exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { pairs, whole } = select(argv);
  const kinds = [...new Set(pairs.flatMap(({ server, client }) => [server, client]))];
  const missing = missingPrograms(kinds);
  for (const [program, ids] of missing) {
    console.error(`${program} is not on the PATH: needed by ${ids.join(', ')}`);
  }
  if (missing.size > 0) {
    console.error(`install it, or go without: --without ${[...missing.keys()].join(',')}`);
    return 1;
  }
  await buildAll(kinds);
  const reports = await playAll(pairs, progressOf(pairs));
  if (whole) await writeFile(DOCUMENT, await compose(reports));
  return report(reports);
}

async function buildAll(kinds: readonly (ServerKind | ClientKind)[]): Promise<void> {
  const builds = new Limit(BUILDS_AT_ONCE);
  await Promise.all(
    kinds.map((kind) =>
      builds.run(async () => {
        const startedAt = performance.now();
        await kind.build();
        const seconds = (performance.now() - startedAt) / 1000;
        if (seconds > 1) console.log(`built ${kind.id} in ${seconds.toFixed(1)} s`);
      }),
    ),
  );
}

/** Says a line for each result as it comes. */
function progressOf(pairs: readonly Pair[]): (result: Result) => void {
  const startedAt = performance.now();
  let count = 0;
  return (result) => {
    count++;
    const { server, client, transports, outcomes } = result;
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(0);
    const who = `${server.id} × ${client.id}, ${nameOf(transports)}`;
    console.log(`${seconds.padStart(4)} s ${count}/${pairs.length * 3}  ${who}: ${told(outcomes)}`);
  };
}

function told({ direct, ...routed }: Result['outcomes']): string {
  if (direct.kind === 'failed') return `without the router: ${direct.step}: ${direct.why}`;
  const passed = ROUTED.filter((way) => routed[way].kind === 'passed');
  return `${passed.length} of ${ROUTED.length} passed`;
}

function report(reports: readonly KindReport[]): number {
  const results = reports.flatMap((one) => one.results);
  const problems = reports.flatMap(({ server, problems: own, unknown }) => [
    ...own.map((problem) => `${server.id}: ${problem}`),
    ...unknown.flatMap((answer) =>
      answer.problems.map(
        (problem) => `${server.id}, unknown session, ${answer.question}: ${problem}`,
      ),
    ),
  ]);
  console.log(`\n${resultLines(results).join('\n')}`);
  for (const line of failures(results, 'direct')) console.log(`without the router: ${line}`);
  for (const line of [...failures(results, 'routed'), ...problems]) console.log(`FAILED ${line}`);
  const { passed, counted } = score(results);
  console.log(`\n${passed} of ${counted} scenarios that pass without the router pass with it`);
  const recognised = reports.filter(({ unknown }) => unknown.length > 0).length;
  console.log(`${recognised} of ${reports.length} kinds of servers asked for unknown sessions`);
  return passed === counted && counted > 0 && problems.length === 0 ? 0 : 1;
}
