/**
 * One direction of a proxied connection: carries bytes, end and reset from one socket to the other, in order, as late as
 * the line says, and not at all while it is stalled.
 *
 * Back-pressure is real: while the sink is full or the line stalled, the source isn't read, so that its sender's buffers
 * fill. A source that isn't read doesn't notice either that its peer has gone: exactly what a silent line means.
 */
import type { Socket } from 'node:net';

export type Direction = 'up' | 'down';

/** The state of a proxy's line, changed while connections are open; then their `advance` is to be called. */
export interface Line {
  stalled: Record<Direction, boolean>;
  delayMs: number;
}

type Parcel = { dueAt: number } & ({ kind: 'bytes'; chunk: Buffer } | { kind: 'end' } | { kind: 'reset' });

/**
 * Carries `source` to `sink` until either is closed. Returns `advance`, which looks again at a line that has changed.
 * `passed` sees each chunk when it leaves.
 */
export function carry(
  direction: Direction,
  source: Socket,
  sink: Socket,
  line: Readonly<Line>,
  passed: (chunk: Buffer) => void,
): () => void {
  const underway: Parcel[] = [];
  let timer: NodeJS.Timeout | undefined;

  // A reset needs no room in the sink.
  const isBlocked = (parcel?: Parcel) =>
    line.stalled[direction] || sink.destroyed || (sink.writableNeedDrain && parcel?.kind !== 'reset');
  const deliver = (parcel: Parcel) => {
    if (parcel.kind === 'end') sink.end();
    else if (parcel.kind === 'reset') reset(sink);
    else {
      sink.write(parcel.chunk);
      passed(parcel.chunk);
    }
  };
  const advance = () => {
    clearTimeout(timer);
    for (let first = underway[0]; first && !isBlocked(first); first = underway[0]) {
      const waitMs = first.dueAt - performance.now();
      if (waitMs > 0) {
        timer = setTimeout(advance, waitMs);
        break;
      }
      underway.shift();
      deliver(first);
    }
    if (isBlocked()) source.pause();
    else source.resume();
  };
  const dueAt = () => performance.now() + line.delayMs;

  source.on('data', (chunk: Buffer) => {
    underway.push({ kind: 'bytes', chunk, dueAt: dueAt() });
    advance();
  });
  source.on('end', () => {
    underway.push({ kind: 'end', dueAt: dueAt() });
    advance();
  });
  // A source that fails was reset by its peer, or never connected: passed on as a reset. Bytes that wait for a full sink
  // are dropped, as RST has no regard for a window.
  source.on('error', () => {
    if (sink.writableNeedDrain) underway.length = 0;
    underway.push({ kind: 'reset', dueAt: dueAt() });
    advance();
  });
  sink.on('drain', advance);
  sink.on('close', () => clearTimeout(timer));
  advance();
  return advance;
}

/**
 * Closes a socket with RST. While a FIN is on its way libuv refuses that (`EINVAL`), and `resetAndDestroy` then leaves the
 * handle open for ever without a 'close': such a socket is closed without RST.
 */
export function reset(socket: Socket): void {
  if (socket.writableEnded && !socket.writableFinished) socket.destroy();
  else socket.resetAndDestroy();
}
