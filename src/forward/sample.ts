/** Bodies up to this size are shown to the router, which looks for close packets and error answers. */
const MAX_SAMPLE_BYTES = 512;

/** Nothing seen yet. */
export const EMPTY_SAMPLE: Buffer = Buffer.alloc(0);

/** The body so far with one more chunk, as long as it is small; undefined once it is not. */
export function addToSample(sample: Buffer | undefined, chunk: Buffer): Buffer | undefined {
  if (sample === undefined || sample.length + chunk.length > MAX_SAMPLE_BYTES) return undefined;
  return sample.length === 0 ? chunk : Buffer.concat([sample, chunk]);
}
