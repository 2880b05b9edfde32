/**
 * HTTP/2 frame by frame over TLS [RFC 9113 §4.1], for what no client does: attacks. It sends what it is told to, and keeps what comes back.
 */
import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import { until } from '@patterns/kit/testing/until';

export const TYPE = {
  DATA: 0,
  HEADERS: 1,
  RST_STREAM: 3,
  SETTINGS: 4,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;
export const FLAG = { END_STREAM: 1, ACK: 1, END_HEADERS: 4 } as const;
export const CODE = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  INTERNAL_ERROR: 2,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  ENHANCE_YOUR_CALM: 11,
} as const;

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  stream: number,
  { flags = 0, payload = Buffer.alloc(0) }: { flags?: number; payload?: Buffer } = {},
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Header fields of a request in HPACK, none of them indexed, so that every block stands for itself [RFC 7541 §6.2.2]. */
export function headerBlock(
  path: string,
  { method = 'GET', fields = {} }: { method?: string; fields?: Record<string, string> } = {},
): Buffer {
  const scheme = Buffer.from([0x87]); // :scheme https, from the static table
  const literal = (index: number, value: string) => Buffer.concat([Buffer.from([index]), text(value)]);
  const rest = Object.entries(fields).map(([name, value]) =>
    Buffer.concat([Buffer.from([0]), text(name), text(value)]),
  );
  return Buffer.concat([literal(2, method), scheme, literal(4, path), literal(1, 'localhost'), ...rest]);
}

/** A string with its length, an integer with a prefix of 7 bits [RFC 7541 §5.1, §5.2]. */
function text(value: string): Buffer {
  const length: number[] = [];
  let rest = Buffer.byteLength(value);
  if (rest < 127) length.push(rest);
  else {
    length.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) length.push((rest % 128) + 128);
    length.push(rest);
  }
  return Buffer.concat([Buffer.from(length), Buffer.from(value)]);
}

/** Opens a connection and says nothing yet. */
export async function openRaw(url: string, ca: string) {
  const { hostname, port } = new URL(url);
  const socket: TLSSocket = connect({ host: hostname, port: Number(port), ca, ALPNProtocols: ['h2'] });
  const frames: Frame[] = [];
  let rest = Buffer.alloc(0);
  let isClosed = false;
  socket.on('data', (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 9 && rest.length >= 9 + rest.readUIntBE(0, 3)) {
      const end = 9 + rest.readUIntBE(0, 3);
      frames.push({
        type: rest[3]!,
        flags: rest[4]!,
        stream: rest.readUInt32BE(5) & 0x7fffffff,
        payload: rest.subarray(9, end),
      });
      rest = rest.subarray(end);
    }
  });
  socket.on('error', () => {}); // a reset is one of the answers that attacks get
  socket.on('close', () => (isClosed = true));
  await once(socket, 'secureConnect');

  const send = (...parts: Buffer[]) => socket.write(Buffer.concat(parts));
  return {
    socket,
    frames,
    send,
    get isClosed() {
      return isClosed;
    },
    /** The preface, our settings, and the acknowledgement of theirs [RFC 9113 §3.4]. */
    async greet({ acknowledge = true } = {}) {
      send(Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), frame(TYPE.SETTINGS, 0));
      await until('settings', () => frames.some(({ type, flags }) => type === TYPE.SETTINGS && flags === 0));
      if (acknowledge) send(frame(TYPE.SETTINGS, 0, { flags: FLAG.ACK }));
    },
    get(stream: number, path: string, fields: Record<string, string> = {}) {
      return frame(TYPE.HEADERS, stream, {
        flags: FLAG.END_HEADERS | FLAG.END_STREAM,
        payload: headerBlock(path, { fields }),
      });
    },
    /** The code of the GOAWAY that ended it, once the connection is closed. */
    async ended(withinMs = 10_000): Promise<number | undefined> {
      await until('the server closes', () => isClosed, { withinMs });
      return frames.findLast(({ type }) => type === TYPE.GOAWAY)?.payload.readUInt32BE(4);
    },
    [Symbol.dispose]: () => socket.destroy(),
  };
}

export type Raw = Awaited<ReturnType<typeof openRaw>>;
