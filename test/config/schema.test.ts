import { readFileSync } from 'node:fs';
import prettier from 'prettier';
import { describe, expect, test } from 'vitest';
import { knownKeys } from '../../src/config/keys.ts';
import { jsonSchema } from '../../src/config/schema.ts';

const DOCS = new URL('../../docs/configuration.md', import.meta.url);

test('config/unsticky.schema.json is what the schema generates (npm run schema writes it)', async () => {
  const options = await prettier.resolveConfig(DOCS.pathname);
  const text = await prettier.format(JSON.stringify(jsonSchema()), { ...options, parser: 'json' });
  await expect(text).toMatchFileSnapshot('../../config/unsticky.schema.json');
});

describe('docs/configuration.md', () => {
  /** Rows of its tables of keys: | `key` | type | default | … */
  const rows = [
    ...readFileSync(DOCS, 'utf8').matchAll(/^\| `([a-z][^`]*)` +\| [^|]+ +\| ([^|]+?) +\|/gm),
  ].map(([, key = '', value = '']) => [key, value] as const);

  test('lists every key of the schema, and no other', () => {
    expect(rows.map(([key]) => key).toSorted()).toEqual([...knownKeys()].toSorted());
  });

  test('tells the defaults that the schema has', () => {
    const documented = new Map(rows);
    const wrong = [...defaultsOf(jsonSchema(), '')].filter(
      ([key, value]) => documented.get(key) !== `\`${value}\``,
    );
    expect(wrong).toEqual([]);
  });
});

interface SchemaNode {
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

/** Every default by its key; sections have none of their own. */
function* defaultsOf(node: SchemaNode, path: string): Generator<[key: string, value: string]> {
  if (node.default !== undefined && JSON.stringify(node.default) !== '{}') {
    yield [path, JSON.stringify(node.default).replaceAll('"', '')];
  }
  for (const [key, child] of Object.entries(node.properties ?? {})) {
    yield* defaultsOf(child, path === '' ? key : `${path}.${key}`);
  }
  if (node.items !== undefined) yield* defaultsOf(node.items, `${path}[]`);
  const lists = node.anyOf?.filter(({ items }) => items !== undefined) ?? [];
  for (const child of lists.length > 0 ? lists : (node.anyOf ?? [])) yield* defaultsOf(child, path);
}
