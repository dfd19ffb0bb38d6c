import { brotliDecompressSync, gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';

/**
 * A body without its content coding (RFC 9110 section 8.4.1), or undefined if the coding is not
 * known, the bytes are corrupt or cut short, or the result would exceed `maxBytes`. Knows
 * `identity`, `gzip`, `x-gzip`, `deflate` (with and without the zlib wrapper) and `br`, one of them
 * at a time. Never holds more than the limit; never throws.
 *
 * Decompresses synchronously: meant for a handshake's answer of a few hundred bytes.
 */
export function decodeBody(
  body: Buffer,
  contentEncoding: string | undefined,
  maxBytes: number,
): Buffer | undefined {
  try {
    const decoded = decode(body, contentEncoding?.trim().toLowerCase() ?? '', maxBytes);
    return decoded !== undefined && decoded.length <= maxBytes ? decoded : undefined;
  } catch {
    return undefined;
  }
}

function decode(body: Buffer, coding: string, maxOutputLength: number): Buffer | undefined {
  switch (coding) {
    case '':
    case 'identity':
      return body;
    case 'gzip':
    case 'x-gzip':
      return gunzipSync(body, { maxOutputLength });
    case 'deflate':
      return inflateEither(body, maxOutputLength);
    case 'br':
      return brotliDecompressSync(body, { maxOutputLength });
    default:
      return undefined;
  }
}

/** RFC 9110 section 8.4.1.2 notes that some senders leave the zlib wrapper out. */
function inflateEither(body: Buffer, maxOutputLength: number): Buffer {
  try {
    return inflateSync(body, { maxOutputLength });
  } catch {
    return inflateRawSync(body, { maxOutputLength });
  }
}
