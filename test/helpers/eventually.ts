const RETRY_MS = 10;

/**
 * Tries until `check` resolves with something true or the time is up: for states of other processes
 * that announce no event.
 *
 * @param ms - limit in milliseconds
 */
export async function eventually(check: () => unknown, ms: number, label: string): Promise<void> {
  const deadline = performance.now() + ms;
  let last: unknown = 'never true';
  do {
    try {
      if (await check()) return;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  } while (performance.now() < deadline);
  throw new Error(`did not happen within ${String(ms)} ms: ${label}`, { cause: last });
}
