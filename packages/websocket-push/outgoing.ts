/**
 * What a client has said and nobody has acknowledged. That a socket took it proves nothing: it may have gone down with the
 * connection, or the server with it. So every message is kept, and sent again, with the same id, on every new connection,
 * until its acknowledgement comes. The server adds it to the room once.
 */
import { randomUUID } from 'node:crypto';
import type { WebSocket } from 'ws';
import { encode, RATE } from './protocol.ts';
import { TokenBucket } from './rate.ts';

interface Message {
  readonly id: string;
  readonly text: string;
  /** Resolves with the cursor of the event that it became. */
  readonly acknowledged: PromiseWithResolvers<string>;
}

export class Outgoing {
  readonly #sender = randomUUID();
  #count = 0;
  /** Oldest first, as a Map keeps them. */
  readonly #unacknowledged = new Map<string, Message>();
  /** Those that this connection has not taken yet. */
  #unsent: Message[] = [];
  #ws: WebSocket | undefined;
  #timer: NodeJS.Timeout | undefined;
  #ended: Error | undefined;
  /** Half of what the server allows: what is sent evenly may arrive in a heap. */
  readonly #pace = new TokenBucket({ ...RATE, burst: RATE.burst / 2 });

  /** Resolves with the cursor of the event when it is in the room. Rejects when the conversation has ended before. */
  async say(text: string): Promise<string> {
    if (this.#ended) throw this.#ended;
    const message = { id: `${this.#sender}-${++this.#count}`, text, acknowledged: Promise.withResolvers<string>() };
    this.#unacknowledged.set(message.id, message);
    this.#unsent.push(message);
    this.#send();
    return message.acknowledged.promise;
  }

  // #region resend
  /** A new connection: everything that was not acknowledged goes out on it, in the order in which it was said. */
  attach(ws: WebSocket): void {
    this.#ws = ws;
    this.#unsent = [...this.#unacknowledged.values()];
    this.#send();
  }

  detach(): void {
    this.#ws = undefined;
    clearTimeout(this.#timer);
  }

  acknowledge(id: string, cursor: string): void {
    this.#unacknowledged.get(id)?.acknowledged.resolve(cursor);
    this.#unacknowledged.delete(id);
  }
  // #endregion

  /** Nothing more will be sent. */
  end(reason: Error): void {
    this.#ended = reason;
    for (const { acknowledged } of this.#unacknowledged.values()) acknowledged.reject(reason);
    this.#unacknowledged.clear();
  }

  #send(): void {
    clearTimeout(this.#timer);
    while (this.#ws && this.#unsent.length > 0) {
      if (!this.#pace.take()) {
        this.#timer = setTimeout(() => this.#send(), this.#pace.waitMs + 1);
        return;
      }
      const { id, text } = this.#unsent.shift()!;
      this.#ws.send(encode({ type: 'say', id, text }));
    }
  }
}
