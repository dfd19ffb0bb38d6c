import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { EXIT, exitCodeOf } from '../../src/cli/exit-codes.ts';
import { nodeWarning } from '../../src/cli/node-version.ts';
import { UnstickyError } from '../../src/errors.ts';

const listenError = (code: string): UnstickyError =>
  new UnstickyError('LISTEN_FAILED', 'x', { cause: Object.assign(new Error(code), { code }) });

test.each<[error: unknown, code: number]>([
  [new UnstickyError('CONFIG_INVALID'), 78],
  [new UnstickyError('STORE_REQUIRED'), 69],
  [listenError('EADDRINUSE'), 69],
  [listenError('EACCES'), 77],
  [new UnstickyError('INTERNAL'), 70],
  [new Error('bug'), 70],
])('%s at start exits with %i', (error, code) => {
  expect(exitCodeOf(error)).toBe(code);
});

test('the help tells every exit code', () => {
  const main = readFileSync(new URL('../../src/cli/main.ts', import.meta.url), 'utf8');
  const help = /Exit codes:\n([\s\S]*?)\n\n/.exec(main)?.[1] ?? '';
  expect(
    Object.values(EXIT).filter((code) => !new RegExp(`\\b${String(code)}\\b`).test(help)),
  ).toEqual([]);
});

test.each([
  ['v20.20.2', 'gets no security fixes'],
  ['v23.11.0', 'gets no security fixes'],
  ['v22.23.1', 'has known security holes'],
  ['v24.17.9', 'has known security holes'],
  ['v22.23.2', undefined],
  ['v24.18.1', undefined],
  ['v24.19.0', undefined],
  ['v26.5.1', undefined],
  ['v28.0.0', undefined],
])('Node %s: %s', (version, text) => {
  const warning = nodeWarning(version);
  if (text === undefined) expect(warning).toBeUndefined();
  else expect(warning).toContain(text);
});
