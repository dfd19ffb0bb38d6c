import { expect, test } from 'vitest';
import { PeerLoad } from '../../src/sessions/peer-load.ts';

test('a replica without peers adds nothing to its own count', () => {
  const load = new PeerLoad();
  load.claimed('chat-1');
  expect(load.load('chat-1')).toBe(0);
});

test('until a peer is heard again it is taken to claim as this replica does', () => {
  const load = new PeerLoad();
  load.heard('b', new Map([['chat-1', 10]]));
  load.heard('c', new Map());
  load.claimed('chat-1');
  load.claimed('chat-1');
  expect(load.load('chat-1')).toBe(10 + 2 + 2);
  load.heard('b', new Map([['chat-1', 11]]));
  expect(load.load('chat-1')).toBe(11 + 2);
  load.heard('c', undefined);
  expect(load.load('chat-1')).toBe(11);
  expect(load.load('chat-2')).toBe(0);
});
