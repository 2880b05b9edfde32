/**
 * What stands between the server and a peer that reads slowly, or not at all: everything that a connection is sent goes here.
 *
 * Frames that become pending in one pass of the event loop leave in one write. A write is a system call, and costs the same
 * for one frame as for twenty, so under load the cost per frame falls by itself. We write whole frames to the socket that
 * the upgrade gave us; `ws` writes its own (pong, close) between ours, and they stay whole as well.
 */
import type { Socket } from 'node:net';
import { Batch } from './batch.ts';

/** What a socket takes before it says that it is full. More than that is not gathered for it either. */
const FULL_BYTES = 64 * 1_024;

/** What a person does not notice, whatever the pause of the process that made the writes seem so long. */
const MAX_REST_MS = 20;

/** The outboxes of a server. */
export class Outboxes {
  readonly maxBufferedBytes: number;
  readonly maxPending: number;
  #first = new Batch(Buffer.alloc(0));
  #waiting: Outbox[] = [];
  #restUntil = 0;

  /** Beyond either a peer is cut off: bytes that wait for it, events that came while its socket took none. */
  constructor({ maxBufferedBytes, maxPending }: { maxBufferedBytes: number; maxPending: number }) {
    this.maxBufferedBytes = maxBufferedBytes;
    this.maxPending = maxPending;
  }

  /** The first frame of a batch, shared in the same way. */
  begin(outbox: Outbox, frame: Buffer): Batch {
    if (this.#waiting.push(outbox) === 1) this.#schedule();
    return this.#first.add(frame);
  }

  // #region one-write
  #schedule(): void {
    const restMs = this.#restUntil - performance.now();
    if (restMs > 0) setTimeout(this.#flush, restMs);
    else setImmediate(this.#flush);
  }

  readonly #flush = (): void => {
    const startedAt = performance.now();
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#first = new Batch(Buffer.alloc(0));
    for (const outbox of waiting) outbox.flush();
    // A thousand writes take 10 ms. If the next thousand always followed at once, the process would do nothing else under load:
    // so it rests for half as long again, in which others have their turn and more frames come together.
    const endedAt = performance.now();
    this.#restUntil = endedAt + Math.min(1.5 * (endedAt - startedAt), MAX_REST_MS);
  };
  // #endregion
}

export interface Peer {
  /** Nobody has said goodbye yet. */
  readonly isOpen: boolean;
  /** More waits for it than may. */
  cutOff(reason: 'slow'): void;
}

/** What one connection is still to be sent. */
export class Outbox {
  readonly #socket: Socket;
  readonly #outboxes: Outboxes;
  readonly #peer: Peer;
  #batch: Batch | undefined;
  /** Kept here, because it is asked once for each event and connection: the socket's own figure is some objects away. */
  #isFull = false;
  #missed = 0;
  #resume: (() => void) | undefined;

  constructor(socket: Socket, outboxes: Outboxes, peer: Peer) {
    this.#socket = socket;
    this.#outboxes = outboxes;
    this.#peer = peer;
  }

  /** Bytes that wait for the peer now, in this process; the kernel holds more. */
  get bufferedBytes(): number {
    return this.#socket.writableLength + (this.#batch?.size ?? 0);
  }

  // #region send
  /** Sends a frame together with whatever else comes up in this pass of the event loop. */
  send(frame: Buffer): void {
    this.#batch = this.#batch ? this.#batch.add(frame) : this.#outboxes.begin(this, frame);
  }

  /** The peer is behind: its socket takes no more. What this process itself has not written yet is not the peer's fault. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** A promise when enough is waiting: send no more of a backlog until it resolves. For one caller at a time. */
  drained(): Promise<void> | undefined {
    if (!this.#isFull && (this.#batch?.size ?? 0) < FULL_BYTES) return undefined;
    return new Promise((resolve) => {
      this.#resume = resolve;
    });
  }

  flush(): void {
    const batch = this.#batch;
    this.#batch = undefined;
    // After a close frame nothing more may be sent [RFC 6455 §5.5.1].
    if (!batch || !this.#peer.isOpen) return;
    // Measured before the write: what comes up at once, for everybody, is not the fault of one who reads slowly.
    if (this.#socket.writableLength > this.#outboxes.maxBufferedBytes) {
      this.#peer.cutOff('slow');
      return;
    }
    const wasFull = this.#isFull;
    this.#isFull = !this.#socket.write(batch.bytes);
    if (!this.#isFull) this.#goOn();
    else if (!wasFull) this.#socket.once('drain', () => this.#goOn());
  }
  // #endregion

  /** Counts an event that the peer's socket had no room for. Too many, and it is cut off: it can resume. */
  miss(): void {
    if (this.#isFull && ++this.#missed > this.#outboxes.maxPending) this.#peer.cutOff('slow');
  }

  #goOn(): void {
    this.#isFull = false;
    this.#missed = 0;
    this.#resume?.();
    this.#resume = undefined;
  }
}
