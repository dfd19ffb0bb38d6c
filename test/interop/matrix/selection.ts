import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import type { ClientKind, ServerKind } from './contract.ts';
import { CLIENTS, SERVERS, whyIncompatible } from './kinds.ts';

/** What a run is about. */
export interface Selection {
  /** Nothing is left out: only such a run writes the document. */
  readonly whole: boolean;
  readonly pairs: readonly Pair[];
}

/** A server and a client that belong together. */
export interface Pair {
  readonly server: ServerKind;
  readonly client: ClientKind;
}

type Kind = ServerKind | ClientKind;

/**
 * Reads `--only a,b` (pairs with one of these) and `--without a,b` (pairs with none of these). A
 * name is that of a language, a program that is needed, a kind, or what kinds' names begin with.
 */
export function select(argv: readonly string[]): Selection {
  const { values } = parseArgs({
    args: [...argv],
    options: { only: { type: 'string' }, without: { type: 'string' } },
  });
  const only = names(values.only);
  const without = names(values.without);
  const isAsked = (kind: Kind): boolean => only.some((name) => isCalled(kind, name));
  const isLeftOut = (kind: Kind): boolean => without.some((name) => isCalled(kind, name));
  const pairs = compatiblePairs().filter(({ server, client }) => {
    if (isLeftOut(server) || isLeftOut(client)) return false;
    return only.length === 0 || isAsked(server) || isAsked(client);
  });
  return { whole: only.length + without.length === 0, pairs };
}

/** Programs that the kinds need and that are not on the PATH, with who needs them. */
export function missingPrograms(kinds: readonly Kind[]): ReadonlyMap<string, readonly string[]> {
  const missing = new Map<string, string[]>();
  for (const { id, needs } of kinds) {
    for (const program of needs) {
      if (isOnPath(program)) continue;
      missing.set(program, [...(missing.get(program) ?? []), id]);
    }
  }
  return missing;
}

function compatiblePairs(): Pair[] {
  return SERVERS.flatMap((server) =>
    CLIENTS.filter((client) => whyIncompatible(server, client) === undefined).map((client) => ({
      server,
      client,
    })),
  );
}

function names(list: string | undefined): readonly string[] {
  const all = list?.split(',').filter((name) => name !== '') ?? [];
  for (const name of all) {
    if (![...SERVERS, ...CLIENTS].some((kind) => isCalled(kind, name))) {
      throw new Error(`no server and no client is called ${name}`);
    }
  }
  return all;
}

function isCalled({ id, language, needs }: Kind, name: string): boolean {
  if (id === name || id.startsWith(`${name}-`)) return true;
  return language.toLowerCase() === name.toLowerCase() || needs.includes(name);
}

function isOnPath(program: string): boolean {
  return (process.env['PATH'] ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
