import { expect, test } from 'vitest';
import { GenerationClock, isNewer } from '../../src/sessions/generation.ts';

test('generations are unique and ordered while the wall clock stands still or goes back', () => {
  let wallMs = 1_000;
  const clock = new GenerationClock('a', () => wallMs);
  const made = [clock.next(), clock.next()];
  wallMs = 500;
  made.push(clock.next());
  expect(made).toEqual(['1000000-a', '1000001-a', '1000002-a']);
});

test('a generation seen from a clock ahead is older than the next one made here', () => {
  const clock = new GenerationClock('a', () => 1_000);
  clock.observe('5000000-b');
  clock.observe('nonsense');
  const next = clock.next();
  expect(isNewer(next, '5000000-b')).toBe(true);
  expect([clock.made(next), clock.made('5000000-b')]).toEqual([true, false]);
});
