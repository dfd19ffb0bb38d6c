import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A key and its self-signed certificate for 127.0.0.1 and localhost, as PEM files. */
export interface Certificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly cert: string;
  readonly key: string;
  close(): void;
}

/** Makes one with openssl in a folder of its own. */
export function makeCertificate(): Certificate {
  const folder = mkdtempSync(join(tmpdir(), 'unsticky-tls-'));
  const certFile = join(folder, 'cert.pem');
  const keyFile = join(folder, 'key.pem');
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'].concat(
      ['-keyout', keyFile, '-out', certFile, '-days', '2', '-subj', '/CN=localhost'],
      ['-addext', names],
    ),
    { stdio: 'pipe' },
  );
  return {
    certFile,
    keyFile,
    cert: readFileSync(certFile, 'utf8'),
    key: readFileSync(keyFile, 'utf8'),
    close: () => {
      rmSync(folder, { recursive: true });
    },
  };
}
