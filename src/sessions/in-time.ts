/** Message of the error with which {@link inTime} rejects. */
export const TIMED_OUT = 'command timed out';

/**
 * The promise's outcome, or a rejection when it has none after `ms`.
 *
 * A process that was stalled fires its timers before it reads what waits on its sockets: an answer
 * that came in time would be taken for none, and a healthy server for a frozen one (seen with stalls
 * of 300 ms). So a late timer lets the event loop read once more before it is believed.
 */
export async function inTime<T>(promise: Promise<T>, ms: number): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => {
      afterNextReads(() => {
        reject(new Error(TIMED_OUT));
      });
    }, ms);
    promise.then(resolve, reject).finally(() => {
      clearTimeout(timer);
    });
  });
}

/** Calls back when the sockets have been read at least once more. */
export function afterNextReads(callback: () => void): void {
  setImmediate(() => {
    setImmediate(callback);
  });
}
