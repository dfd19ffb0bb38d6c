import type { Parsed } from './parsed.ts';
import { accept, refuse } from './parsed.ts';

const PATH = /^(\/[A-Za-z0-9._~!$&'()*+,;=:@-]*)+$/;

/** Reads an Engine.IO path; a missing slash at its end is added. */
export function parseEnginePath(text: string): Parsed<string> {
  const parsed = parsePath(text, 'a path such as /socket.io/');
  return parsed.ok && !text.endsWith('/') ? accept(`${text}/`) : parsed;
}

/** Reads the path of a route: a prefix of request paths, as it stands. */
export function parseRoutePath(text: string): Parsed<string> {
  return parsePath(text, 'a path such as /api/');
}

function parsePath(text: string, expected: string): Parsed<string> {
  if (!text.startsWith('/')) return refuse(expected, 'a path begins with a slash');
  if (!PATH.test(text)) {
    return refuse(expected, 'a path is plain text: no query, no % and no spaces');
  }
  if (/\/\/|\/\.\.?(\/|$)/.test(text)) return refuse(expected, 'a path has no //, /./ or /../');
  return accept(text);
}

/** Reads the target of a health request: a path, with a query if need be. */
export function parseHealthPath(text: string): Parsed<string> {
  return /^\/(?!\/)[\x21\x22\x24-\x7e]*$/.test(text)
    ? accept(text)
    : refuse('a path such as /healthz');
}

/** Reads a name that stands in Redis and in logs. */
export function parseId(text: string): Parsed<string> {
  return /^[\w.:[\]-]{1,128}$/.test(text)
    ? accept(text)
    : refuse('1 to 128 letters, digits or any of . _ : - [ ]');
}

/**
 * Reads the prefix of Redis keys. Braces are refused: in a cluster they would put all keys into one
 * slot (Redis Cluster specification, hash tags).
 */
export function parseKeyPrefix(text: string): Parsed<string> {
  return /^[\x21-\x7a\x7c\x7e]{1,64}$/.test(text)
    ? accept(text)
    : refuse('1 to 64 printable characters without spaces and braces');
}
