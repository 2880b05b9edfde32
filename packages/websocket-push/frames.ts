/**
 * A WebSocket frame as bytes. A server's frames are not masked [RFC 6455 §5.1], so the same bytes go to everybody: an event is
 * made into a frame once, and not once for each connection. That, with batch.ts, is why we do not `ws.send`.
 */
import { type ChatEvent, encode, type ServerMessage } from './protocol.ts';

const TEXT = 0x1;
const PING = 0x9;
/** FIN: the frame is the whole message. */
const FINAL = 0x80;

// #region frame
/** A frame: final, not compressed, not masked. The length takes 1, 3 or 9 bytes [RFC 6455 §5.2]. */
function frame(opcode: number, payload: Buffer): Buffer {
  const { length } = payload;
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10);
  header[0] = FINAL | opcode;
  header[1] = length < 126 ? length : length < 65_536 ? 126 : 127;
  if (header.length === 4) header.writeUInt16BE(length, 2);
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2);
  return Buffer.concat([header, payload]);
}
// #endregion

export const textFrame = (message: ServerMessage): Buffer => frame(TEXT, Buffer.from(encode(message)));

/** The payload comes back in the pong [RFC 6455 §5.5.3]; at most 125 bytes. */
export const pingFrame = (payload: string): Buffer => frame(PING, Buffer.from(payload));

const frames = new WeakMap<ChatEvent, Buffer>();

/** The event as it goes over the wire, kept for as long as anybody has the event: the feed hands the same object to all. */
export function frameOf(event: ChatEvent): Buffer {
  let made = frames.get(event);
  if (made === undefined) {
    made = textFrame({ type: 'event', ...event });
    frames.set(event, made);
  }
  return made;
}
