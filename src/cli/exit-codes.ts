import type { ErrorCode } from '../errors.ts';
import { UnstickyError } from '../errors.ts';

/** Exit codes: those of BSD's sysexits.h where one fits. */
export const EXIT = {
  ok: 0,
  /** Wrong command or option (EX_USAGE). */
  usage: 64,
  /** Address in use, or no Redis and `store.required` (EX_UNAVAILABLE). */
  unavailable: 69,
  /** A bug (EX_SOFTWARE). */
  software: 70,
  /** `init` would overwrite a file or cannot write it (EX_CANTCREAT). */
  cannotCreate: 73,
  /** Not allowed to listen there (EX_NOPERM). */
  noPermission: 77,
  /** Invalid configuration, certificate or key (EX_CONFIG). */
  config: 78,
  /** A second SIGINT ended it at once. */
  sigint: 130,
  /** A second SIGTERM ended it at once. */
  sigterm: 143,
} as const;

const BY_ERROR: Partial<Record<ErrorCode, number>> = {
  CONFIG_INVALID: EXIT.config,
  LISTEN_FAILED: EXIT.unavailable,
  STORE_REQUIRED: EXIT.unavailable,
};

/** The exit code that an error at start means. */
export function exitCodeOf(error: unknown): number {
  if (!(error instanceof UnstickyError)) return EXIT.software;
  const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
  if (error.code === 'LISTEN_FAILED' && (code === 'EACCES' || code === 'EPERM')) {
    return EXIT.noPermission;
  }
  return BY_ERROR[error.code] ?? EXIT.software;
}
