import { expect, test } from 'vitest';
import { nearest } from '../../src/config/nearest.ts';

const KEYS = ['listen', 'store', 'path', 'upstreams', 'limits', 'timeouts', 'log'];

test.each([
  ['upstream', 'upstreams'],
  ['Listen', 'listen'],
  ['limit', 'limits'],
  ['tiemouts', 'timeouts'],
  ['pahts', undefined],
  ['paht', 'path'],
  ['banana', undefined],
  ['x'.repeat(1000), undefined],
  ['', undefined],
])('%.20s is nearest to %s', (word, expected) => {
  expect(nearest(word, KEYS)).toBe(expected);
});
