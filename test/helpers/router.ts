import { loadConfig } from '../../src/config/load.ts';
import { startRouter } from '../../src/server.ts';
import type { RunningRouter } from '../../src/server.ts';
import { recordingLog } from './recording-log.ts';
import type { LogLine } from './recording-log.ts';

/** A router inside the test's process. */
export interface TestRouter {
  readonly router: RunningRouter;
  readonly port: number;
  readonly url: string;
  readonly lines: readonly LogLine[];
  /** One of the counters of `/api/v1/status`. */
  readonly counter: (name: string) => number;
  close(): Promise<void>;
}

/**
 * Starts a router on a free port.
 *
 * @param keys - keys of the configuration file; `listen` is added, active checks are rare by default
 */
export async function startTestRouter(
  keys: Readonly<Record<string, unknown>>,
  onLine?: (line: LogLine) => void,
): Promise<TestRouter> {
  // Every JSON text is a YAML text.
  const text = JSON.stringify({ listen: '127.0.0.1:0', health: { interval: '1h' }, ...keys });
  const { log, lines } = recordingLog(onLine);
  const router = await startRouter(loadConfig({ text }), log);
  const port = router.addresses[0]?.port ?? 0;
  return {
    router,
    port,
    url: `http://127.0.0.1:${String(port)}`,
    lines,
    counter: (name) => {
      const { counters } = router.status() as { counters: Record<string, number> };
      const count = counters[name];
      if (count === undefined) throw new Error(`no counter ${name}`);
      return count;
    },
    close: () => router.destroy(),
  };
}
