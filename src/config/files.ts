import { X509Certificate, createPrivateKey } from 'node:crypto';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { RouteConfig, StoreConfig, TlsFiles } from './config.ts';
import type { Finding, Path } from './issues.ts';
import type { PartialSettings, Settings } from './schema.ts';

/** Makes every file name absolute, counted from a folder. */
export function withAbsoluteFiles(settings: Settings, folder: string): Settings {
  return {
    ...settings,
    listen: settings.listen.map((item) => ({
      ...item,
      tls: item.tls && { cert: resolve(folder, item.tls.cert), key: resolve(folder, item.tls.key) },
    })),
    routes: settings.routes.map((route): RouteConfig =>
      route.kind === 'static' ? { ...route, directory: resolve(folder, route.directory) } : route,
    ),
    store: storeWithAbsoluteFiles(settings.store, folder),
  };
}

function storeWithAbsoluteFiles(store: StoreConfig, folder: string): StoreConfig {
  if (store.kind === 'memory' || store.tls?.ca === undefined) return store;
  return { ...store, tls: { ca: resolve(folder, store.tls.ca) } };
}

/** Finds files that are missing, unreadable or not what they should be. */
export function checkFiles(settings: PartialSettings, folder: string): readonly Finding[] {
  const { listen = [], routes = [], store } = settings;
  const ca = store?.kind === 'redis' ? store.tls?.ca : undefined;
  return [
    ...listen.flatMap((item, index) =>
      item?.tls === undefined ? [] : checkTls(item.tls, ['listen', index, 'tls'], folder),
    ),
    ...routes.flatMap((route, index) =>
      route?.kind !== 'static'
        ? []
        : checkDirectory(resolve(folder, route.directory), ['routes', index, 'static']),
    ),
    ...(ca === undefined ? [] : checkAuthorities(resolve(folder, ca))),
  ];
}

function finding(path: Path, message: string): Finding {
  return { path, at: 'value', message, hint: undefined };
}

function checkDirectory(directory: string, path: Path): readonly Finding[] {
  try {
    return statSync(directory).isDirectory() ? [] : [finding(path, `${directory} is no directory`)];
  } catch (error) {
    return [finding(path, `cannot read ${directory}: ${reason(error)}`)];
  }
}

function checkTls({ cert, key }: TlsFiles, path: Path, folder: string): readonly Finding[] {
  const certFile = resolve(folder, cert);
  const keyFile = resolve(folder, key);
  const certificate = attempt(() => new X509Certificate(readFileSync(certFile)));
  const privateKey = attempt(() => createPrivateKey(readFileSync(keyFile)));
  if (certificate.ok && privateKey.ok) {
    return certificate.value.checkPrivateKey(privateKey.value)
      ? []
      : [
          finding(
            [...path, 'key'],
            `the key ${keyFile} does not belong to the certificate ${certFile}`,
          ),
        ];
  }
  const found: Finding[] = [];
  if (!certificate.ok) {
    found.push(
      finding([...path, 'cert'], `cannot use the certificate ${certFile}: ${certificate.reason}`),
    );
  }
  if (!privateKey.ok) {
    found.push(finding([...path, 'key'], `cannot use the key ${keyFile}: ${privateKey.reason}`));
  }
  return found;
}

function checkAuthorities(file: string): readonly Finding[] {
  const path = ['store', 'redis', 'tls', 'ca'];
  const outcome = attempt(() => new X509Certificate(readFileSync(file)));
  return outcome.ok ? [] : [finding(path, `cannot use the authorities ${file}: ${outcome.reason}`)];
}

type Outcome<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly reason: string };

function attempt<T>(read: () => T): Outcome<T> {
  try {
    return { ok: true, value: read() };
  } catch (error) {
    return { ok: false, reason: reason(error) };
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or directory',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a directory',
  ENOTDIR: 'a part of its path is no directory',
  ERR_MISSING_PASSPHRASE: 'it is encrypted',
  ERR_OSSL_PEM_NO_START_LINE: 'it is no PEM file',
  ERR_OSSL_UNSUPPORTED: 'it is no PEM file',
};

/** Why a file could not be read, in a few words. */
export function reason(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return REASONS[code ?? ''] ?? code ?? message;
}
