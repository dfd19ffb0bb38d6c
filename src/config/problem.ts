import { UnstickyError } from '../errors.ts';

/** Where something stands in a configuration file; lines and columns count from 1. */
export interface Place {
  /** As the operator named it; undefined for what came from a flag or the environment. */
  readonly file: string | undefined;
  readonly line: number | undefined;
  readonly column: number | undefined;
  /** The line and a caret under the column; undefined where a secret might show. */
  readonly excerpt: string | undefined;
}

/** One thing wrong with the configuration. Holds no secret in any field. */
export interface Problem extends Place {
  /** Key such as `upstreams[1].url`, flag or environment variable; empty for the whole file. */
  readonly path: string;
  /** What was expected and what was found. */
  readonly message: string;
  /** What to do about it, if there is a good guess. */
  readonly hint: string | undefined;
}

/** Nowhere in a file. */
export const NOWHERE: Place = {
  file: undefined,
  line: undefined,
  column: undefined,
  excerpt: undefined,
};

/** `CONFIG_INVALID` with all problems of a configuration at once. */
export class ConfigError extends UnstickyError {
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super('CONFIG_INVALID', problems.map(summarizeProblem).join('; '));
    this.problems = problems;
  }
}

/** One line: `file:line:column: key: message (hint)`. */
export function summarizeProblem(problem: Problem): string {
  return headline(problem) + (problem.hint === undefined ? '' : ` (${problem.hint})`);
}

/** Several lines for a terminal: the headline, the line with a caret, the hint. */
export function formatProblem(problem: Problem): string {
  const lines = [headline(problem)];
  if (problem.excerpt !== undefined) lines.push(problem.excerpt);
  if (problem.hint !== undefined) lines.push(`  hint: ${problem.hint}`);
  return lines.join('\n');
}

function headline({ file, line, column, path, message }: Problem): string {
  const place = [file, line, column].filter((part) => part !== undefined).join(':');
  return [place, path, message].filter((part) => part !== '').join(': ');
}

/** Hides `user:password@` of any URL in a text. */
export function maskCredentials(text: string): string {
  return text.replace(/\/\/\S*@/g, '//***@');
}

/** A value as a message names it: never more than a short, printable text. */
export function describeValue(value: unknown): string {
  if (value === undefined || value === null) return 'nothing';
  if (typeof value === 'string') return quote(value);
  if (Array.isArray(value)) return value.length === 0 ? 'an empty list' : 'a list';
  if (typeof value === 'object') {
    return Object.keys(value).length === 0 ? 'an empty mapping' : 'a mapping';
  }
  return typeof value === 'number' || typeof value === 'boolean' ? String(value) : typeof value;
}

/** A text in quotes, cut at 60 characters, without credentials. */
export function quote(text: string): string {
  const masked = maskCredentials(text);
  return JSON.stringify(masked.length > 60 ? `${masked.slice(0, 60)}…` : masked);
}
