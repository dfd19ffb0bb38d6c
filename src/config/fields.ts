import { z } from 'zod';
import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';
import { DURATION_PATTERN, parseDuration, parseSize, SIZE_PATTERN } from './units.ts';

/*
 * Building blocks of the schema. One rule holds for all of them: the message of an issue completes
 * the sentence "expected …", and `params.hint` says what to do about it.
 */

/** What an editor shows about a key. */
export interface Meta {
  readonly description?: string;
  readonly pattern?: string;
  readonly examples?: readonly string[];
}

/** A schema whose text, number or other raw value goes through a parser of ours. */
export function parsedBy<Raw, T>(
  schema: z.ZodType<Raw>,
  parse: (raw: Raw) => Parsed<T>,
): z.ZodType<T> {
  return schema.transform((raw, context) => {
    const parsed = parse(raw);
    if (parsed.ok) return parsed.value;
    context.addIssue({
      code: 'custom',
      message: parsed.expected,
      params: { hint: parsed.hint },
    });
    return z.NEVER;
  });
}

/** A string read by a parser. */
export function text<T>(
  expected: string,
  parse: (text: string) => Parsed<T>,
  meta: Meta = {},
): z.ZodType<T> {
  return parsedBy(z.string({ error: expected }).meta({ ...meta }), parse);
}

/** A string, or a number that YAML made of one, such as a port. */
export function textOrNumber<T>(
  expected: string,
  parse: (text: string) => Parsed<T>,
): z.ZodType<T> {
  const raw = z.union([z.string(), z.number()], { error: expected });
  return parsedBy(raw, (value) => parse(String(value)));
}

/** A duration; the value is milliseconds. */
export function duration(): z.ZodType<number> {
  return quantity(DURATION_PATTERN, parseDuration);
}

/** A size; the value is bytes. */
export function size(): z.ZodType<number> {
  return quantity(SIZE_PATTERN, parseSize);
}

/** Text for editors, but a bare number reaches the parser too, which knows the hint for it. */
function quantity(pattern: string, parse: (text: string) => Parsed<number>): z.ZodType<number> {
  return parsedBy(z.unknown().meta({ type: 'string', pattern }), (raw) =>
    parse(typeof raw === 'string' || typeof raw === 'number' ? String(raw) : ''),
  );
}

/** A whole number within bounds, both included. */
export function wholeNumber(min: number, max: number): z.ZodNumber {
  const error = `a whole number from ${String(min)} to ${String(max)}`;
  return z.number({ error }).int({ error }).min(min, { error }).max(max, { error });
}

/** One of a few words. */
export function oneOf<const T extends string>(
  words: readonly [T, ...T[]],
): z.ZodEnum<{ [K in T]: K }> {
  return z.enum(words, { error: words.join(', ').replace(/, ([^,]*)$/, ' or $1') });
}

/** A mapping of exactly these keys. */
export function mapping<Shape extends z.ZodRawShape>(
  shape: Shape,
): z.ZodObject<Shape, z.core.$strict> {
  const error = `a mapping of ${Object.keys(shape).join(', ')}`;
  return z.strictObject(shape, {
    error: (issue) => (issue.code === 'unrecognized_keys' ? undefined : error),
  });
}

/** A text that is not empty. */
export function nonEmpty(expected: string): z.ZodType<string> {
  return text(expected, (value) => (value === '' ? refuse(expected) : accept(value)));
}

/** Name of a file or directory. */
export function fileName(): z.ZodType<string> {
  return nonEmpty('the name of a file or directory');
}

/** A list, empty only where `min` is 0; an item alone stands for a list of one. */
export function oneOrMany<T>(
  item: z.ZodType<T>,
  expected: string,
  { min = 1 }: { readonly min?: 0 | 1 } = {},
): z.ZodType<readonly T[]> {
  return z.union(
    [
      item.transform((value) => [value]),
      z.array(item, { error: expected }).min(min, { error: expected }),
    ],
    { error: expected },
  );
}
