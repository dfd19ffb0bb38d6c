import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SessionStore } from '../../src/sessions/store.ts';
import { eventually } from '../helpers/eventually.ts';
import { RecordedEvents, binding, uniqueId } from './fixtures.ts';

/** Where a contract run gets its store from. */
export interface StoreUnderTest {
  /** A store that is not yet open. */
  readonly create: () => SessionStore;
  readonly close: () => Promise<void>;
}

const NONE = { overwrite: false, announce: false };
const OVERWRITE = { overwrite: true, announce: true };

/** What every {@link SessionStore} promises. */
export function describeStore(name: string, start: () => Promise<StoreUnderTest>): void {
  describe(`session store contract: ${name}`, () => {
    let setup: StoreUnderTest;
    let store: SessionStore;
    const events = new RecordedEvents();

    beforeAll(async () => {
      setup = await start();
      store = setup.create();
      await store.open(events);
    }, 60_000);

    afterAll(async () => {
      await store.close();
      await setup.close();
    });

    test('it is available once open', () => {
      expect(events.lines).toContain('available');
    });

    test('a claimed sid has its owner, an unclaimed one none', async () => {
      const claimed = binding(uniqueId('sid'), 'chat-1');
      expect(await store.ownerOf(claimed.sid)).toBeUndefined();
      expect(await store.claim(claimed, NONE)).toEqual({ kind: 'claimed' });
      expect(await store.ownerOf(claimed.sid)).toEqual(claimed);
    });

    test('a sid that another upstream holds is kept from a claim that may not overwrite', async () => {
      const held = binding(uniqueId('sid'), 'chat-1');
      await store.claim(held, NONE);
      const result = await store.claim(binding(held.sid, 'chat-2'), NONE);
      expect(result).toEqual({ kind: 'held', by: held });
      expect(await store.ownerOf(held.sid)).toEqual(held);
    });

    test('a claim that may overwrite takes the sid', async () => {
      const held = binding(uniqueId('sid'), 'chat-1');
      const later = binding(held.sid, 'chat-2');
      await store.claim(held, NONE);
      expect(await store.claim(later, OVERWRITE)).toEqual({ kind: 'claimed' });
      expect(await store.ownerOf(held.sid)).toEqual(later);
    });

    test('the same upstream may claim its sid again', async () => {
      const held = binding(uniqueId('sid'), 'chat-1');
      const again = binding(held.sid, 'chat-1');
      await store.claim(held, NONE);
      expect(await store.claim(again, NONE)).toEqual({ kind: 'claimed' });
      expect(await store.ownerOf(held.sid)).toEqual(again);
    });

    test('an older claim never replaces a newer one, not even with overwrite', async () => {
      const older = binding(uniqueId('sid'), 'chat-1');
      const newer = binding(older.sid, 'chat-2');
      await store.claim(newer, NONE);
      expect(await store.claim(older, OVERWRITE)).toEqual({ kind: 'held', by: newer });
      expect(await store.ownerOf(older.sid)).toEqual(newer);
    });

    test('a touch renews, restores what was lost, and tells of another claim', async () => {
      const mine = binding(uniqueId('sid'), 'chat-1');
      expect(await store.touch(mine)).toEqual({ kind: 'restored' });
      expect(await store.touch(mine)).toEqual({ kind: 'touched' });
      const later = binding(mine.sid, 'chat-2');
      await store.claim(later, OVERWRITE);
      expect(await store.touch(mine)).toEqual({ kind: 'moved', to: later });
      expect(await store.ownerOf(mine.sid)).toEqual(later);
    });

    test('a release deletes its own claim only', async () => {
      const mine = binding(uniqueId('sid'), 'chat-1');
      const later = binding(mine.sid, 'chat-1');
      await store.claim(mine, NONE);
      await store.claim(later, NONE);
      expect(await store.release(mine)).toBe(false);
      expect(await store.ownerOf(mine.sid)).toEqual(later);
      expect(await store.release(later)).toBe(true);
      expect(await store.release(later)).toBe(false);
      expect(await store.ownerOf(mine.sid)).toBeUndefined();
    });

    test('a binding ends with its time to live, unless touched', async () => {
      const short = binding(uniqueId('sid'), 'chat-1', 120);
      const touched = binding(uniqueId('sid'), 'chat-1', 120);
      await store.claim(short, NONE);
      await store.claim(touched, NONE);
      await eventually(
        async () => {
          await store.touch(touched);
          return (await store.ownerOf(short.sid)) === undefined;
        },
        2_000,
        'the untouched binding ends',
      );
      expect(await store.ownerOf(touched.sid)).toEqual(touched);
      await eventually(
        async () => (await store.ownerOf(touched.sid)) === undefined,
        2_000,
        'the touched binding ends when no longer touched',
      );
    });

    test('an upstream id may contain anything that an address does', async () => {
      const odd = binding(uniqueId('sid'), 'chat-1.example:8080 [::1]/x');
      await store.claim(odd, NONE);
      expect(await store.ownerOf(odd.sid)).toEqual(odd);
    });

    test('of claims at the same time one holds, and its touch says so', async () => {
      const sid = uniqueId('sid');
      const claims = Array.from({ length: 20 }, (_, i) => binding(sid, `chat-${String(i)}`));
      await Promise.all(claims.map((claim) => store.claim(claim, OVERWRITE)));
      const holder = await store.ownerOf(sid);
      expect(holder).toEqual(claims.at(-1));
      const touches = await Promise.all(claims.map((claim) => store.touch(claim)));
      expect(touches.filter(({ kind }) => kind === 'touched')).toHaveLength(1);
    });

    test('closing twice is closing once', async () => {
      const other = setup.create();
      await other.open(new RecordedEvents());
      await Promise.all([other.close(), other.close()]);
      await other.close();
    });
  });
}
