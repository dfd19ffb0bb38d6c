import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Directory, Session } from '../../src/sessions/directory.ts';
import { MemoryStore } from '../../src/sessions/memory-store.ts';
import type { StoreEvents } from '../../src/sessions/store.ts';
import { openDirectory } from './fixtures.ts';

const UPSTREAMS = ['chat-1', 'chat-2', 'chat-3'];
const TTL_MS = 1_000;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});

afterEach(() => {
  vi.useRealTimers();
});

class ObservableStore extends MemoryStore {
  events: StoreEvents | undefined;

  override open(events: StoreEvents): Promise<void> {
    this.events = events;
    return super.open(events);
  }
}

const sid = fc.integer({ min: 0, max: 7 }).map((n) => `sid-${String(n)}`);
const step = fc.oneof(
  fc.record({
    kind: fc.constant('claim' as const),
    sid,
    upstream: fc.constantFrom(...UPSTREAMS),
    carried: fc.boolean(),
  }),
  fc.record({ kind: fc.constantFrom('release', 'touch', 'forget', 'lookUp'), sid }),
  fc.record({ kind: fc.constant('expire' as const), ms: fc.integer({ min: 1, max: TTL_MS * 2 }) }),
  fc.record({
    kind: fc.constant('upstreamDies' as const),
    upstream: fc.constantFrom(...UPSTREAMS),
  }),
  fc.record({ kind: fc.constantFrom('gap', 'settle') }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

test('own counts equal the own sessions known after any history, and end at zero', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
      let now = 0;
      const store = new ObservableStore({ maxBindings: 6, now: () => now });
      const directory = await openDirectory(() => store, { cachedBindings: 5, now: () => now });
      const handles: Session[] = [];
      for (const each of steps) {
        if (each.kind === 'expire') now += each.ms;
        else await play(each, { directory, store, handles });
        expectCountsToFit(directory);
      }
      now += TTL_MS * 10;
      await vi.advanceTimersByTimeAsync(5_000);
      await settle();
      now += TTL_MS * 10;
      await vi.advanceTimersByTimeAsync(5_000);
      await settle();
      expect([...directory.sessions()]).toEqual([]);
      expect(UPSTREAMS.map((upstream) => directory.load(upstream))).toEqual([0, 0, 0]);
      await directory.close();
    }),
    { numRuns: 300 },
  );
});

async function play(
  each: Exclude<Step, { kind: 'expire' }>,
  parts: { directory: Directory; store: ObservableStore; handles: Session[] },
): Promise<void> {
  const { directory, store, handles } = parts;
  const handle = 'sid' in each ? handles.find((session) => session.sid === each.sid) : undefined;
  switch (each.kind) {
    case 'claim': {
      const options = { ttlMs: TTL_MS, carried: each.carried, holderLives: () => true };
      const outcome = await directory.claim(each.sid, each.upstream, options);
      if (outcome.kind === 'claimed') handles.unshift(outcome.session);
      return;
    }
    case 'upstreamDies':
      directory.forgetUpstream(each.upstream);
      return;
    case 'release':
      if (handle !== undefined) directory.release(handle);
      return;
    case 'touch':
      if (handle !== undefined) directory.touch(handle);
      return;
    case 'forget':
      store.events?.onForget(each.sid);
      return;
    case 'lookUp':
      await directory.ownerOf(each.sid);
      return;
    case 'gap':
      store.events?.onGap();
      return;
    case 'settle':
      await settle();
  }
}

/** Lets commands under way in the background be answered. */
async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve();
}

function expectCountsToFit(directory: Directory): void {
  for (const upstream of UPSTREAMS) {
    const own = [...directory.sessions()].filter((s) => s.own && s.upstream === upstream);
    expect(directory.load(upstream)).toBe(own.length);
  }
  expect(directory.sessionCount).toBeLessThanOrEqual(5);
}
