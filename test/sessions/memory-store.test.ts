import { expect, test } from 'vitest';
import { MemoryStore } from '../../src/sessions/memory-store.ts';
import { binding } from './fixtures.ts';

const NONE = { overwrite: false, announce: false };

test('at the limit the binding touched longest ago makes room', async () => {
  const store = new MemoryStore({ maxBindings: 3 });
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((sid) => binding(sid, 'chat-1'));
  if (a === undefined || b === undefined || c === undefined || d === undefined) throw new Error();
  for (const each of [a, b, c]) await store.claim(each, NONE);
  await store.touch(a);
  await store.claim(d, NONE);
  expect(store.size).toBe(3);
  expect(await store.ownerOf('b')).toBeUndefined();
  expect(await store.ownerOf('a')).toEqual(a);
});

test('expired bindings are cleared away by later claims', async () => {
  let now = 0;
  const store = new MemoryStore({ maxBindings: 1_000, now: () => now });
  for (let i = 0; i < 100; i++) await store.claim(binding(`old-${String(i)}`, 'chat-1', 10), NONE);
  now = 10;
  for (let i = 0; i < 60; i++) await store.claim(binding(`new-${String(i)}`, 'chat-1', 10), NONE);
  expect(store.size).toBe(60);
});
