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
 * @param keys - keys of the configuration file; `listen` is added, and after the first active check
 * the next one comes in an hour unless they say otherwise
 */
export async function startTestRouter(
  keys: Readonly<Record<string, unknown>>,
  onLine?: (line: LogLine) => void,
): Promise<TestRouter> {
  // Every JSON text is a YAML text.
  const health = { interval: '1h', ...(keys['health'] as object | undefined) };
  const text = JSON.stringify({ listen: '127.0.0.1:0', ...keys, health });
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
