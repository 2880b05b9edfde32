/**
 * Reads WebSocket frames off the bytes that a proxy passes on, so that the demo can show the real wire. Just enough of a parser
 * for our own demo: no fragments, no compression, and a handshake that comes in one piece.
 */
import type { Story } from '@patterns/kit/story';
import { type Direction, httpWire } from '@patterns/kit/wire';

interface WireOptions {
  story: Story;
  client: string;
  /** The server's name for a new connection. */
  server: () => string;
  /** What to print for a message, or nothing. */
  show: (message: string) => string | undefined;
}

/** Makes the options of a fault proxy that tells each request and each frame to the story, and counts the handshakes. */
export function socketWire({ story, client, server, show }: WireOptions) {
  const http = httpWire({ story, client, server, body: hideSecrets });
  const sockets = new Map<number, Record<Direction, (chunk: Buffer) => void>>();
  const open = () => {
    const peer = server();
    const read = (from: string, to: string) =>
      frameReader({
        onHead: (head) => story.wire(from, to, hideSecrets(head)),
        onText(text) {
          const line = show(text);
          if (line) story.wire(from, to, line);
        },
        onClose: (code, reason) => story.wire(from, to, `close ${code} ${reason}`.trimEnd()),
      });
    return { up: read(client, peer), down: read(peer, client) };
  };
  const wire = {
    handshakes: 0,
    onData(chunk: Buffer, info: { direction: Direction; connection: number }): void {
      if (!sockets.has(info.connection) && /\r\nUpgrade: websocket/i.test(chunk.toString('latin1'))) {
        sockets.set(info.connection, open());
        wire.handshakes++;
      }
      const socket = sockets.get(info.connection);
      if (socket) socket[info.direction](chunk);
      else http.onData(chunk, info);
    },
  };
  return wire;
}

interface Listener {
  onHead: (startLine: string) => void;
  onText: (text: string) => void;
  onClose: (code: number, reason: string) => void;
}

/** Reads one direction of one connection: the head of the handshake, then frames [RFC 6455 §5.2]. */
function frameReader({ onHead, onText, onClose }: Listener): (chunk: Buffer) => void {
  let buffered = Buffer.alloc(0);
  let isOpen = false;
  return (chunk) => {
    buffered = Buffer.concat([buffered, chunk]);
    const endOfHead = isOpen ? 0 : buffered.indexOf('\r\n\r\n');
    if (endOfHead === -1) return;
    if (!isOpen) {
      onHead(buffered.toString('latin1', 0, buffered.indexOf('\r\n')).replace(/^HTTP\/1\.1 | HTTP\/1\.1$/, ''));
      buffered = buffered.subarray(endOfHead + 4);
      isOpen = true;
    }
    for (let frame = readFrame(buffered); frame; frame = readFrame(buffered)) {
      buffered = buffered.subarray(frame.size);
      const { opcode, payload } = frame;
      if (opcode === 0x1) onText(payload.toString());
      if (opcode === 0x8) onClose(payload.length > 1 ? payload.readUInt16BE(0) : 1005, payload.toString('utf8', 2));
    }
  };
}

function readFrame(bytes: Buffer): { opcode: number; payload: Buffer; size: number } | undefined {
  if (bytes.length < 2) return undefined;
  const isMasked = (bytes[1]! & 0x80) !== 0; // a client's frames are [RFC 6455 §5.3]
  const short = bytes[1]! & 0x7f;
  const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0) + (isMasked ? 4 : 0);
  if (bytes.length < start) return undefined;
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  if (bytes.length < start + length) return undefined;
  const payload = Buffer.from(bytes.subarray(start, start + length));
  if (isMasked) for (let i = 0; i < length; i++) payload[i]! ^= bytes[start - 4 + (i % 4)]!;
  return { opcode: bytes[0]! & 0x0f, payload, size: start + length };
}

/** Sessions and tickets are as good as passwords: not even a demo prints them. */
const hideSecrets = (line: string) => line.replace(/("session":"|"ticket":"|ticket=)[\w-]+/g, '$1…');
