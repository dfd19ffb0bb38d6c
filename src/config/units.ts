import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';

/** Longest delay a Node timer can wait: beyond it, it fires at once. */
export const MAX_DURATION_MS: number = 2 ** 31 - 1;

/** What {@link parseDuration} reads, for editors. */
export const DURATION_PATTERN = '^[0-9]+(ms|s|m|h)$';

/** What {@link parseSize} reads, for editors. */
export const SIZE_PATTERN = '^[0-9]+([kKmMgG]?[bB])$';

const MS_PER_UNIT = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 } as const;
const BYTES_PER_UNIT = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 } as const;

const DURATION = /^(\d{1,15})(ms|s|m|h)$/;
const SIZE = /^(\d{1,15})(b|kb|mb|gb)$/;
const EXPECTED_DURATION = 'a duration such as 500ms, 2s, 1m or 1h';
const EXPECTED_SIZE = 'a size such as 512b, 100kb, 10mb or 1gb';

/**
 * Reads a duration: a whole number and its unit, from 1ms to 2^31-1 ms (24 days). A bare number is
 * refused, because half of the world would read it as seconds.
 *
 * @returns milliseconds
 */
export function parseDuration(text: string): Parsed<number> {
  const match = DURATION.exec(text);
  if (match === null) return refuse(EXPECTED_DURATION, bareNumberHint(text, 's'));
  const ms = Number(match[1]) * MS_PER_UNIT[match[2] as keyof typeof MS_PER_UNIT];
  if (ms === 0) return refuse('a duration above zero', 'no limit can be switched off');
  if (ms > MAX_DURATION_MS) return refuse(`at most ${String(MAX_DURATION_MS)}ms (24 days)`);
  return accept(ms);
}

/**
 * Reads a size: a whole number and its unit, in any case, 1kb being 1024 bytes, from 1b to 1024gb.
 * A bare number is refused.
 *
 * @returns bytes
 */
export function parseSize(text: string): Parsed<number> {
  const match = SIZE.exec(text.toLowerCase());
  if (match === null) return refuse(EXPECTED_SIZE, bareNumberHint(text, 'mb'));
  const bytes = Number(match[1]) * BYTES_PER_UNIT[match[2] as keyof typeof BYTES_PER_UNIT];
  if (bytes === 0) return refuse('a size above zero', 'no limit can be switched off');
  if (bytes > 1024 * BYTES_PER_UNIT.gb) return refuse('at most 1024gb');
  return accept(bytes);
}

function bareNumberHint(text: string, unit: string): string | undefined {
  return /^\d{1,15}$/.test(text) ? `give it a unit: ${text}${unit}` : undefined;
}
