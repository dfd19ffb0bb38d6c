import { closeSync, openSync, readSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import type { Config } from './config.ts';
import { checkFiles, reason, withAbsoluteFiles } from './files.ts';
import type { Finding, Path } from './issues.ts';
import { findingsOf, formatPath, valueAt } from './issues.ts';
import type { Environment, Flags, Overrides } from './overrides.ts';
import { override } from './overrides.ts';
import type { Place, Problem } from './problem.ts';
import { ConfigError, NOWHERE } from './problem.ts';
import { checkRules } from './rules.ts';
import type { Settings } from './schema.ts';
import { readSettings } from './schema.ts';
import type { YamlFile } from './yaml.ts';
import { parseYaml } from './yaml.ts';

/** A larger file is refused unread. */
const MAX_FILE_BYTES = 1024 * 1024;

/** Nobody reads further, and to find the place of each takes time. */
const MAX_FINDINGS = 200;

/** Where a configuration comes from: a flag wins over the environment, that over the file, that over the default. */
export interface LoadOptions {
  /** YAML file; without it only flags, environment and defaults count. */
  readonly file?: string;
  /** Content of `file`, if it has been read already. */
  readonly text?: string;
  readonly flags?: Flags;
  readonly environment?: Environment;
  /** What `file` is relative to; and file names in the configuration, if there is no file. Default: the working directory. */
  readonly folder?: string;
}

/**
 * Loads the configuration, or says all that is wrong with it at once.
 *
 * @throws {ConfigError} `CONFIG_INVALID` with every problem; no other error
 */
export function loadConfig(options: LoadOptions): Config {
  const { file, folder = '.' } = options;
  const text = options.text ?? (file === undefined ? '' : readText(file, resolve(folder, file)));
  if (Buffer.byteLength(text) > MAX_FILE_BYTES) throw fileError(file, 'is larger than 1 MB');
  const yaml = parseYaml(text, file);
  if (yaml.value === undefined) throw new ConfigError(yaml.problems);

  const overrides = override(yaml.value ?? {}, options.flags ?? {}, options.environment ?? {});
  const base = file === undefined ? resolve(folder) : dirname(resolve(folder, file));
  const outcome = check(overrides.value, base);
  const problems = [
    ...yaml.problems,
    ...outcome.findings
      .slice(0, MAX_FINDINGS)
      .map((finding) => toProblem(finding, yaml, overrides)),
  ];
  if (outcome.settings === undefined || problems.length > 0) {
    throw new ConfigError(problems.toSorted(byPlace));
  }
  return deepFreeze(toConfig(withAbsoluteFiles(outcome.settings, base)));
}

interface Outcome {
  readonly settings: Settings | undefined;
  readonly findings: readonly Finding[];
}

function check(raw: unknown, folder: string): Outcome {
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    const message = 'expected a mapping of keys such as listen and upstreams';
    return { settings: undefined, findings: [{ path: [], at: 'value', message, hint: undefined }] };
  }
  const read = readSettings(raw as Record<string, unknown>);
  const settings = read.ok ? read.settings : read.partial;
  const findings = [
    ...(read.ok ? [] : findingsOf(read.issues, raw)),
    ...checkRules(settings),
    ...checkFiles(settings, folder),
  ];
  return { settings: read.ok ? read.settings : undefined, findings };
}

function toProblem(finding: Finding, yaml: YamlFile, overrides: Overrides): Problem {
  const path = writtenPath(finding.path, overrides.value);
  const { message, hint } = finding;
  const source = overrides.sourceOf(path);
  if (source !== undefined) return { ...NOWHERE, path: source, message, hint };
  const place: Place = finding.at === 'key' ? yaml.placeOfKey(path) : yaml.placeOfValue(path);
  return { ...place, path: formatPath(path), message, hint };
}

/** Drops the index of an item that stands alone in place of a list. */
function writtenPath(path: Path, raw: unknown): Path {
  return path.filter(
    (segment, index) =>
      typeof segment !== 'number' || Array.isArray(valueAt(raw, path.slice(0, index))),
  );
}

function byPlace(a: Problem, b: Problem): number {
  return (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0);
}

function toConfig(settings: Settings): Config {
  const { listen, store, path, upstreams, balance, ioCookie, admin, routes } = settings;
  const { trustProxies, limits, timeouts, health, log } = settings;
  const entry = { listen, paths: path, upstreams, balance, ioCookie, admin, routes };
  return { ...entry, store, trustProxies, limits, timeouts, health, log };
}

function readText(name: string, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readBounded(file));
  } catch (error) {
    if (error instanceof ConfigError) throw error;
    if (error instanceof TypeError) throw fileError(name, 'is not valid UTF-8');
    throw fileError(name, `cannot be read: ${reason(error)}`);
  }
}

/** Reads at most one byte more than allowed, so that a device or pipe without end does no harm. */
function readBounded(file: string): Buffer {
  const fd = openSync(file, 'r');
  try {
    const buffer = Buffer.alloc(MAX_FILE_BYTES + 1);
    let length = 0;
    for (;;) {
      const count = readSync(fd, buffer, length, buffer.length - length, null);
      length += count;
      if (count === 0 || length === buffer.length) return buffer.subarray(0, length);
    }
  } finally {
    closeSync(fd);
  }
}

function fileError(file: string | undefined, message: string): ConfigError {
  return new ConfigError([{ ...NOWHERE, file, path: '', message, hint: undefined }]);
}

function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}
