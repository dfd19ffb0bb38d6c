import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createPick } from '../../src/upstreams/balance.ts';
import type { Candidate } from '../../src/upstreams/balance.ts';
import type { BalancePolicy } from '../../src/config/config.ts';

const POLICIES: readonly BalancePolicy[] = ['least-sessions', 'round-robin', 'random'];

/** Deterministic uniform numbers, so that a failure can be seen again. */
function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function candidate(id: string, weight = 1, handshakesInFlight = 0): Candidate {
  return { id, config: { weight }, handshakesInFlight };
}

const weights = fc.array(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 8 });
const seeds = fc.integer({ min: 0, max: 2 ** 31 });

function candidatesOf(list: readonly number[]): Candidate[] {
  return list.map((weight, index) => candidate(String(index), weight));
}

describe.each(POLICIES)('%s', (policy) => {
  test('chooses nobody from nobody', () => {
    const pick = createPick(policy, { load: () => 0, random: () => 0 });
    const nobody: Candidate[] = [];
    expect(pick(nobody)).toBeUndefined();
  });

  test('always chooses one of the candidates', () => {
    fc.assert(
      fc.property(weights, seeds, (list, seed) => {
        const candidates = candidatesOf(list);
        const pick = createPick(policy, { load: () => 0, random: seeded(seed) });
        const picks = Array.from({ length: 20 }, () => pick(candidates));
        expect(candidates).toEqual(expect.arrayContaining(picks));
      }),
    );
  });
});

describe('least-sessions', () => {
  test('never chooses a candidate while another has fewer for its weight', () => {
    const entry = fc.record({
      weight: fc.integer({ min: 1, max: 1_000 }),
      sessions: fc.nat(10_000),
      handshakes: fc.nat(100),
    });
    fc.assert(
      fc.property(fc.array(entry, { minLength: 1, maxLength: 8 }), seeds, (list, seed) => {
        const candidates = list.map((item, index) =>
          candidate(String(index), item.weight, item.handshakes),
        );
        const share = ({ sessions, handshakes, weight }: (typeof list)[number]): number =>
          (sessions + handshakes) / weight;
        const load = (id: string): number => list[Number(id)]?.sessions ?? 0;
        const chosen = createPick('least-sessions', { load, random: seeded(seed) })(candidates);
        const item = list[Number(chosen?.id)];
        expect(item && share(item)).toBe(Math.min(...list.map(share)));
      }),
    );
  });

  test('breaks ties evenly', () => {
    const candidates = candidatesOf([1, 1, 1, 1]);
    const pick = createPick('least-sessions', { load: () => 7, random: seeded(1) });
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 4_000; i++) {
      const at = Number(pick(candidates)?.id);
      counts[at] = (counts[at] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(120);
  });
});

describe('round-robin', () => {
  test('gives each candidate exactly its weight in one round', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 6 }),
        (list) => {
          const candidates = candidatesOf(list);
          const pick = createPick('round-robin', { load: () => 0, random: () => 0 });
          const counts = list.map(() => 0);
          const round = list.reduce((sum, weight) => sum + weight, 0);
          for (let i = 0; i < round; i++) {
            const at = Number(pick(candidates)?.id);
            counts[at] = (counts[at] ?? 0) + 1;
          }
          expect(counts).toEqual(list);
        },
      ),
    );
  });

  test('spreads a heavy candidate over the round', () => {
    const candidates = [candidate('a', 5), candidate('b', 1), candidate('c', 1)];
    const pick = createPick('round-robin', { load: () => 0, random: () => 0 });
    const order = Array.from({ length: 7 }, () => pick(candidates)?.id).join('');
    expect(order).toBe('aabacaa');
  });
});

test('random follows the weights', () => {
  const candidates = [candidate('a', 3), candidate('b', 1)];
  const pick = createPick('random', { load: () => 0, random: seeded(7) });
  const picks = Array.from({ length: 4_000 }, () => pick(candidates)?.id);
  const share = picks.filter((id) => id === 'a').length / picks.length;
  expect(Math.abs(share - 0.75)).toBeLessThan(0.03);
});
