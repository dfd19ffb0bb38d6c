import type { ClientKind, ServerKind, Transports } from './contract.ts';
import type { Outcome } from './scenario.ts';
import { TOPOLOGIES, type Topology } from './stage.ts';

/** The scenario of one pair over some transports, on every way. */
export interface Result {
  readonly server: ServerKind;
  readonly client: ClientKind;
  readonly transports: Transports;
  readonly outcomes: Readonly<Record<Topology, Outcome>>;
}

/** Every choice of transports that clients are told. */
export const TRANSPORTS: readonly Transports[] = [
  ['polling'],
  ['polling', 'websocket'],
  ['websocket'],
];

/** The ways that lead through the router. */
export const ROUTED: readonly Exclude<Topology, 'direct'>[] = ['one', 'two'];

/** A server sends pings, or misses them, once in this time: a drop is seen as much sooner or later. */
const DROP_TOLERANCE_MS = 1500;

/** Counts a drop that is seen late, measured by the control, as a failure. */
export function judge(outcomes: Readonly<Record<Topology, Outcome>>): Result['outcomes'] {
  const { direct } = outcomes;
  if (direct.kind === 'failed') return outcomes;
  const judged = (outcome: Outcome): Outcome => {
    if (outcome.kind === 'failed') return outcome;
    if (outcome.dropSeenMs <= direct.dropSeenMs + DROP_TOLERANCE_MS) return outcome;
    const seen = `${Math.round(outcome.dropSeenMs)} ms`;
    const why = `seen after ${seen}, without the router after ${Math.round(direct.dropSeenMs)} ms`;
    return { kind: 'failed', step: 'drop without a word, seen by the server', why };
  };
  return { direct, one: judged(outcomes.one), two: judged(outcomes.two) };
}

/** The figure of the whole: how many pass with the router, of those that pass directly. */
export function score(results: readonly Result[]): { passed: number; counted: number } {
  const counted = results
    .filter(({ outcomes }) => outcomes.direct.kind === 'passed')
    .flatMap(({ outcomes }) => ROUTED.map((way) => outcomes[way]));
  return {
    passed: counted.filter(({ kind }) => kind === 'passed').length,
    counted: counted.length,
  };
}

/** Name of a choice of transports. */
export function nameOf(transports: Transports): string {
  return transports.length === 1 ? `${transports[0] ?? ''} only` : transports.join(' → ');
}

/** True if a client can be told to use just these. */
export function canUse(client: ClientKind, transports: Transports): boolean {
  return client.cannot.every((no) => nameOf(no.transports) !== nameOf(transports));
}

/** Each failure in a line, of the control or of the others. */
export function failures(results: readonly Result[], of: 'direct' | 'routed'): string[] {
  const ways = of === 'direct' ? (['direct'] as const) : ROUTED;
  return results
    .filter(({ outcomes }) => of === 'direct' || outcomes.direct.kind === 'passed')
    .flatMap(({ server, client, transports, outcomes }) =>
      ways.flatMap((way) => {
        const outcome = outcomes[way];
        if (outcome.kind === 'passed') return [];
        const where = `${server.id} × ${client.id}, ${nameOf(transports)}, ${way}`;
        return `${where}: ${outcome.step}: ${outcome.why}`;
      }),
    );
}

/** Names of all ways, the control first. */
export const WAYS = Object.keys(TOPOLOGIES) as Topology[];
