import { expect, test } from 'vitest';
import { Backoff } from '../../src/upstreams/backoff.ts';

function pauses(backoff: Backoff, count: number): number[] {
  return Array.from({ length: count }, () => backoff.nextMs());
}

test('pauses double from one second to thirty', () => {
  const backoff = new Backoff(() => 0);
  expect(pauses(backoff, 7)).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
});

test('jitter takes away up to half of a pause', () => {
  const backoff = new Backoff(() => 0.5);
  expect(pauses(backoff, 3)).toEqual([750, 1_500, 3_000]);
});

test('after a reset the shortest pause comes again', () => {
  const backoff = new Backoff(() => 0);
  pauses(backoff, 5);
  backoff.reset();
  expect(backoff.nextMs()).toBe(1_000);
});

test('a pause stays at its limit however often it fails', () => {
  const backoff = new Backoff(() => 0);
  expect(pauses(backoff, 2_000).at(-1)).toBe(30_000);
});
