import { randomBytes } from 'node:crypto';

/** How a frame is made. */
export interface FrameOptions {
  /** As a client must. Default false. */
  readonly masked?: boolean;
  /** FIN, RSV bits and opcode. Default 0x81: a whole, uncompressed text message. */
  readonly first?: number;
}

/** One WebSocket frame (RFC 6455 section 5.2). */
export function frame(payload: string | Buffer, options: FrameOptions = {}): Buffer {
  const body = Buffer.from(payload);
  const { masked = false, first = 0x81 } = options;
  const length = lengthField(body.length);
  length[0] = (length[0] ?? 0) | (masked ? 0x80 : 0);
  const mask = masked ? randomBytes(4) : Buffer.alloc(0);
  if (masked) body.forEach((byte, index) => (body[index] = byte ^ (mask[index % 4] ?? 0)));
  return Buffer.concat([Buffer.from([first]), length, mask, body]);
}

function lengthField(length: number): Buffer {
  if (length < 126) return Buffer.from([length]);
  if (length < 65_536) return Buffer.from([126, length >> 8, length & 0xff]);
  const field = Buffer.alloc(9, 127);
  field.writeBigUInt64BE(BigInt(length), 1);
  return field;
}
