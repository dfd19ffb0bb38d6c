import { nearest } from './nearest.ts';
import { jsonSchema } from './schema.ts';

interface SchemaNode {
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
}

/**
 * Every key of the configuration by its path: `log.level`, `upstreams[].weight`. The item of a list
 * that may also stand alone is listed only in its list form.
 */
export function knownKeys(): readonly string[] {
  cachedKeys ??= [...new Set(keysOf(jsonSchema(), ''))];
  return cachedKeys;
}

let cachedKeys: readonly string[] | undefined;

function keysOf(node: SchemaNode, path: string): readonly string[] {
  const alternatives = node.anyOf ?? [];
  const isList = alternatives.some(({ items }) => items !== undefined);
  return [
    ...Object.entries(node.properties ?? {}).flatMap(([key, child]) => {
      const childPath = path === '' ? key : `${path}.${key}`;
      return [childPath, ...keysOf(child, childPath)];
    }),
    ...(node.items === undefined ? [] : keysOf(node.items, `${path}[]`)),
    ...alternatives
      .filter(({ items }) => !isList || items !== undefined)
      .flatMap((child) => keysOf(child, path)),
  ];
}

/** Says what an unknown key under a path (indexes written as `[]`) may have been meant to be. */
export type SuggestKey = (parent: string, key: string) => string | undefined;

/** Suggests the nearest key at the same level, or else the place where a key of that name belongs. */
export function keySuggestions(): SuggestKey {
  const known = knownKeys().map((path) => {
    const cut = path.lastIndexOf('.');
    return { path, parent: path.slice(0, Math.max(0, cut)), name: path.slice(cut + 1) };
  });
  return (parent, key) => {
    const here = known
      .filter((candidate) => sameMapping(candidate.parent, parent))
      .map(({ name }) => name);
    const near = nearest(key, here);
    if (near !== undefined) return `did you mean ${near}?`;
    const elsewhere = known.find(({ name }) => name === key);
    if (elsewhere !== undefined) return `did you mean ${elsewhere.path}?`;
    return here.length === 0 ? undefined : `known here: ${here.join(', ')}`;
  };
}

/** A lone item stands where its list would: `listen` and `listen[]` hold the same keys. */
function sameMapping(a: string, b: string): boolean {
  return a.replaceAll('[]', '') === b.replaceAll('[]', '');
}
