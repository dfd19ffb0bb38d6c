import type { z } from 'zod';
import type { SuggestKey } from './keys.ts';
import { keySuggestions } from './keys.ts';
import { nearest } from './nearest.ts';
import { describeValue, quote } from './problem.ts';

/** A key of a mapping or an index of a list, from the root to a value. */
export type Path = readonly (string | number)[];

/** Something wrong at a path, not yet placed in a file. */
export interface Finding {
  readonly path: Path;
  /** Whether the key itself is at fault, not its value. */
  readonly at: 'key' | 'value';
  readonly message: string;
  readonly hint: string | undefined;
}

type Issue = z.core.$ZodIssue;

const WORD = /^[\w-]{1,40}$/;

/** Turns the schema's issues into sentences. */
export function findingsOf(issues: readonly Issue[], raw: unknown): readonly Finding[] {
  const suggest = keySuggestions();
  const findings = issues
    .flatMap((issue) => resolve(issue))
    .flatMap((issue) => toFindings(issue, raw, suggest));
  // One wrong number can break several bounds, each with the same message.
  const seen = new Set<string>();
  return findings.filter(({ path, message }) => {
    const key = JSON.stringify([path, message]);
    return seen.size < seen.add(key).size;
  });
}

/** Finds the branch of a union that the value was meant for; the union itself if it fits none. */
function resolve(issue: Issue): readonly Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const branches = issue.errors.map((branch) => branch.flatMap((inner) => resolve(inner)));
  const meant = branches.find((branch) => branch.length > 0 && !branch.some(isOtherKind));
  return (
    meant?.map((inner) => ({ ...inner, path: [...issue.path, ...inner.path] })) ?? [
      { ...issue, errors: [] },
    ]
  );
}

function isOtherKind({ code, path }: Issue): boolean {
  return path.length === 0 && ['invalid_type', 'invalid_value', 'invalid_union'].includes(code);
}

function toFindings(issue: Issue, raw: unknown, suggest: SuggestKey): readonly Finding[] {
  const path = issue.path as Path;
  if (issue.code === 'unrecognized_keys') {
    const parent = formatPath(path).replace(/\[\d+\]/g, '[]');
    return issue.keys.map((key) => ({
      path: [...path, key],
      at: 'key',
      message: isSecret(path) && !WORD.test(key) ? 'unknown key' : `unknown key ${quote(key)}`,
      hint: suggest(parent, key),
    }));
  }
  const params = issue.code === 'custom' ? issue.params : undefined;
  if (params?.['complete'] === true) {
    return [{ path, at: 'value', message: issue.message, hint: undefined }];
  }
  const value = valueAt(raw, path);
  const hint = (params?.['hint'] as string | undefined) ?? hintFor(issue, value);
  return [{ path, at: 'value', message: sentence(issue.message, value, path), hint }];
}

function sentence(expected: string, value: unknown, path: Path): string {
  if (value === undefined) return `is missing: expected ${expected}`;
  if (typeof value === 'object' || !isSecret(path)) {
    return `expected ${expected}, found ${describeValue(value)}`;
  }
  return typeof value === 'string'
    ? `expected ${expected}`
    : `expected ${expected}, found a ${typeof value}`;
}

function hintFor(issue: Issue, value: unknown): string | undefined {
  if (value === null) return 'give the key a value or remove it';
  if (issue.code === 'invalid_type' && issue.expected === 'string') {
    return typeof value === 'number' ? 'put the value in quotes' : undefined;
  }
  if (typeof value !== 'string' || issue.code !== 'invalid_value') return undefined;
  const near = nearest(value, issue.values.map(String));
  return near === undefined ? undefined : `did you mean ${near}?`;
}

/** Values under `store` may be or hold a password: they are never described. */
function isSecret(path: Path): boolean {
  return path[0] === 'store';
}

/** The raw value at a path; undefined if there is none. */
export function valueAt(raw: unknown, path: Path): unknown {
  let value = raw;
  for (const segment of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, segment)) {
      return undefined;
    }
    value = (value as Record<string | number, unknown>)[segment];
  }
  return value;
}

/** A path as problems name it: `upstreams[1].url`. A key that is no plain word is not repeated. */
export function formatPath(path: Path): string {
  return path
    .map((segment) => {
      if (typeof segment === 'number') return `[${String(segment)}]`;
      return WORD.test(segment) ? `.${segment}` : '.?';
    })
    .join('')
    .replace(/^\./, '');
}
