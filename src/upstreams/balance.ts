import type { BalancePolicy } from '../config/config.ts';

/** Something that can take a new session. */
export interface Candidate {
  readonly id: string;
  readonly config: { readonly weight: number };
  readonly handshakesInFlight: number;
}

/** What a policy may look at besides the candidates. */
export interface BalanceInputs {
  /** Sessions that live on an upstream, over all replicas as far as known. */
  readonly load: (upstreamId: string) => number;
  /** Uniform in [0, 1). */
  readonly random: () => number;
}

/** Chooses one of the candidates; undefined if there is none. */
export type Pick = <T extends Candidate>(candidates: readonly T[]) => T | undefined;

/** The function that carries out a policy; round robin remembers its turn in it. */
export function createPick(policy: BalancePolicy, inputs: BalanceInputs): Pick {
  switch (policy) {
    case 'least-sessions':
      return (candidates) => pickLeastSessions(candidates, inputs);
    case 'round-robin':
      return createRoundRobin();
    case 'random':
      return (candidates) => pickRandom(candidates, inputs.random);
  }
}

/** Fewest sessions and handshakes in flight for its weight; ties are broken at random. */
function pickLeastSessions<T extends Candidate>(
  candidates: readonly T[],
  { load, random }: BalanceInputs,
): T | undefined {
  let best: T | undefined;
  let least = Infinity;
  let ties = 0;
  for (const candidate of candidates) {
    const share = (load(candidate.id) + candidate.handshakesInFlight) / candidate.config.weight;
    if (share > least) continue;
    ties = share < least ? 1 : ties + 1;
    least = share;
    // The k-th of the tied replaces the choice with probability 1/k: all are equally likely.
    if (random() * ties < 1) best = candidate;
  }
  return best;
}

/**
 * Smooth weighted round robin as nginx does it: each candidate gains its weight, the richest is
 * chosen and pays the sum. Weights 5, 1, 1 give a a b a c a a rather than a a a a a b c.
 */
function createRoundRobin(): Pick {
  const credits = new WeakMap<Candidate, number>();
  return <T extends Candidate>(candidates: readonly T[]): T | undefined => {
    let best: T | undefined;
    let most = -Infinity;
    let total = 0;
    for (const candidate of candidates) {
      const credit = (credits.get(candidate) ?? 0) + candidate.config.weight;
      credits.set(candidate, credit);
      total += candidate.config.weight;
      if (credit <= most) continue;
      best = candidate;
      most = credit;
    }
    if (best !== undefined) credits.set(best, most - total);
    return best;
  };
}

function pickRandom<T extends Candidate>(
  candidates: readonly T[],
  random: () => number,
): T | undefined {
  let rest = random() * candidates.reduce((sum, { config }) => sum + config.weight, 0);
  for (const candidate of candidates) {
    rest -= candidate.config.weight;
    if (rest < 0) return candidate;
  }
  return candidates.at(-1);
}
