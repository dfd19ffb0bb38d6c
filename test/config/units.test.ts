import { describe, expect, test } from 'vitest';
import { MAX_DURATION_MS, parseDuration, parseSize } from '../../src/config/units.ts';

describe('a duration', () => {
  test.each([
    ['1ms', 1],
    ['500ms', 500],
    ['2s', 2000],
    ['1m', 60_000],
    ['24h', 86_400_000],
    ['2147483647ms', MAX_DURATION_MS],
  ])('%s is read as %i ms', (text, ms) => {
    expect(parseDuration(text)).toEqual({ ok: true, value: ms });
  });

  test.each([
    '',
    '5',
    '0s',
    '000ms',
    '-1s',
    '1.5s',
    '1 s',
    '1S',
    '1d',
    '2147483648ms',
    '597h',
    '1s1s',
    '٣s',
  ])('%j is refused', (text) => {
    expect(parseDuration(text).ok).toBe(false);
  });

  test('without a unit comes with a hint', () => {
    expect(parseDuration('100')).toMatchObject({ hint: 'give it a unit: 100s' });
  });
});

describe('a size', () => {
  test.each([
    ['1b', 1],
    ['100kb', 102_400],
    ['10mb', 10_485_760],
    ['10MB', 10_485_760],
    ['1gb', 1_073_741_824],
    ['1024gb', 1_099_511_627_776],
  ])('%s is read as %i bytes', (text, bytes) => {
    expect(parseSize(text)).toEqual({ ok: true, value: bytes });
  });

  test.each(['', '10', '0mb', '-1kb', '1.5mb', '1 mb', '1m', '1mib', '1025gb'])(
    '%j is refused',
    (text) => {
      expect(parseSize(text).ok).toBe(false);
    },
  );
});
