import { expect, test } from 'vitest';
import { isUpgradePacket } from '../../src/engineio/probe.ts';

test('only the packet 5 finishes an upgrade', () => {
  expect(isUpgradePacket('5')).toBe(true);
  for (const text of ['', '2probe', '3probe', '55', '4', '5:', ' 5']) {
    expect(isUpgradePacket(text)).toBe(false);
  }
});
