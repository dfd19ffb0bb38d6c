import type { Document, ErrorCode, Node, Pair, YAMLError } from 'yaml';
import {
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  visit,
} from 'yaml';
import type { Place, Problem } from './problem.ts';
import { maskCredentials, NOWHERE } from './problem.ts';

/** A key of a mapping or an index of a list. */
export type PathSegment = string | number;

/** A YAML file as far as it could be read. */
export interface YamlFile {
  /** Undefined when `problems` says that the text is no YAML at all. */
  readonly value: unknown;
  readonly problems: readonly Problem[];
  /** Place of the value at a path, or of its nearest ancestor that exists. */
  placeOfValue(path: readonly PathSegment[]): Place;
  /** Place of the last key of a path. */
  placeOfKey(path: readonly PathSegment[]): Place;
}

const MAX_EXCERPT_COLUMNS = 160;
const MAX_LOOKS = 200;
/** Blocks that mention one of these are never shown: a password may stand in any of their lines. */
const SENSITIVE = /store|redis|password|@/i;

/** In place of the library's own words, which would name its options. */
const MESSAGES: Partial<Record<ErrorCode, string>> = {
  NON_STRING_KEY: 'a key must be plain text',
  RESOURCE_EXHAUSTION: 'it is nested too deeply',
};

const HINTS: Partial<Record<ErrorCode, string>> = {
  TAB_AS_INDENT: 'YAML is indented with spaces',
  MULTIPLE_DOCS: 'a configuration is one document: remove the line ---',
  BAD_SCALAR_START: 'put the value in quotes',
};

/**
 * Reads YAML 1.2 of plain mappings, lists and scalars: aliases, tags, duplicate keys and keys that
 * are no strings are problems. Never throws.
 *
 * @param file - its name in problems; undefined if the text is in no file
 */
export function parseYaml(text: string, file: string | undefined): YamlFile {
  const reader = new Reader(text, file);
  try {
    return reader.read();
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    // The parser recurses with the nesting and runs out of stack at some thousand levels.
    return reader.unreadable('is nested too deeply');
  }
}

class Reader {
  readonly #text: string;
  readonly #file: string | undefined;
  readonly #lines = new LineCounter();
  readonly #problems: Problem[] = [];
  #looks = 0;

  constructor(text: string, file: string | undefined) {
    this.#text = text;
    this.#file = file;
  }

  read(): YamlFile {
    const document = parseDocument(this.#text, {
      version: '1.2',
      schema: 'core',
      merge: false,
      resolveKnownTags: false,
      stringKeys: true,
      // The library compares each key with each other; checkMap does it in linear time.
      uniqueKeys: false,
      prettyErrors: false,
      lineCounter: this.#lines,
    });
    const errors = [...document.errors, ...document.warnings];
    for (const [index, error] of errors.entries()) {
      // What follows at the same place is the same mistake, seen from an outer level.
      if (error.pos[0] !== errors[index - 1]?.pos[0]) this.#addSyntaxError(error);
    }
    if (this.#problems.length > 0) return this.#result(undefined, undefined);
    const aliases = this.#checkNodes(document);
    return this.#result(aliases ? undefined : document.toJS(), document.contents);
  }

  unreadable(message: string): YamlFile {
    this.#problems.push({ ...NOWHERE, file: this.#file, path: '', message, hint: undefined });
    return this.#result(undefined, undefined);
  }

  #result(value: unknown, root: Node | null | undefined): YamlFile {
    return {
      value,
      problems: this.#problems,
      placeOfValue: (path) => this.#placeOfNode(findNode(root, path)),
      placeOfKey: (path) => this.#placeOfNode(findKey(root, path)),
    };
  }

  #addSyntaxError(error: YAMLError): void {
    const place = this.#place(error.pos[0]);
    // The library quotes the source in some messages.
    const shown = this.#isSensitive(place.line) ? humanize(error.code) : lowerFirst(error.message);
    const message = MESSAGES[error.code] ?? maskCredentials(shown);
    this.#problems.push({
      ...place,
      path: '',
      message: `is not valid YAML: ${message}`,
      hint: HINTS[error.code],
    });
  }

  /** @returns whether there are aliases, so that the document must not be expanded */
  #checkNodes(document: Document.Parsed): boolean {
    let aliases = false;
    visit(document, {
      Alias: (_key, alias) => {
        aliases = true;
        this.#addAt(alias.range?.[0], 'YAML aliases are not supported', 'write the value out');
      },
      Map: (_key, map) => {
        this.#checkMap(map.items);
      },
    });
    return aliases;
  }

  #checkMap(pairs: readonly Pair[]): void {
    const seen = new Set<unknown>();
    for (const { key } of pairs) {
      if (!isScalar(key)) continue;
      if (seen.has(key.value)) {
        this.#addAt(key.range?.[0], 'this key stands in the mapping already');
      }
      seen.add(key.value);
    }
  }

  #addAt(offset: number | undefined, message: string, hint?: string): void {
    this.#problems.push({ ...this.#place(offset ?? 0), path: '', message, hint });
  }

  #placeOfNode(node: Node | null | undefined): Place {
    return this.#file === undefined && this.#text === ''
      ? NOWHERE
      : this.#place(node?.range?.[0] ?? 0);
  }

  #place(offset: number): Place & { readonly line: number } {
    const { line, col } = this.#lines.linePos(offset);
    const position = { line: Math.max(1, line), column: Math.max(1, col) };
    return { file: this.#file, ...position, excerpt: this.#excerpt(position) };
  }

  #excerpt({ line, column }: { line: number; column: number }): string | undefined {
    if (this.#isSensitive(line)) return undefined;
    const text = (this.#linesUpTo(line)[line - 1] ?? '').replaceAll('\t', ' ');
    if (text.trim() === '' || text.length > MAX_EXCERPT_COLUMNS) return undefined;
    // eslint-disable-next-line no-control-regex -- a terminal must not be steered by a file
    if (/[\x00-\x1f\x7f-\x9f]/.test(text)) return undefined;
    const number = String(line);
    const margin = ' '.repeat(number.length);
    return `  ${number} | ${text}\n  ${margin} | ${' '.repeat(column - 1)}^`;
  }

  #isSensitive(line: number): boolean {
    // Looking takes the time of reading the file, and there may be a problem in each of 100,000 lines.
    this.#looks += 1;
    if (this.#looks > MAX_LOOKS) return true;
    return SENSITIVE.test(topLevelBlock(this.#linesUpTo(line)));
  }

  #linesUpTo(line: number): readonly string[] {
    return this.#text.split(/\r?\n/, line);
  }
}

/** The lines from the last one that begins in the first column; all of them if the file is one flow mapping. */
function topLevelBlock(lines: readonly string[]): string {
  if (lines.some((line) => /^\s*[{[]/.test(line))) return lines.join('\n');
  const start = lines.findLastIndex((line) => /^[^\s#]/.test(line));
  return lines.slice(Math.max(0, start)).join('\n');
}

function findNode(
  root: Node | null | undefined,
  path: readonly PathSegment[],
): Node | null | undefined {
  let node = root;
  for (const segment of path) {
    if (!isMap(node) && !isSeq(node)) return node;
    const child = node.get(segment, true);
    if (child === undefined) return node;
    node = child;
  }
  return node;
}

function findKey(
  root: Node | null | undefined,
  path: readonly PathSegment[],
): Node | null | undefined {
  const parent = findNode(root, path.slice(0, -1));
  if (!isCollection(parent)) return parent;
  const pair = parent.items.find(
    (item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1),
  );
  return isPair(pair) ? (pair.key as Node) : parent;
}

function humanize(code: ErrorCode): string {
  return code.toLowerCase().replaceAll('_', ' ');
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
