/**
 * Those who have seen everything so far, and so hear the same from now on: one follower of the feed for all of them. Whoever is
 * behind, after a reconnect or because it reads slowly, follows the feed on its own until it has caught up (conversation.ts).
 *
 * Nearly everybody has caught up nearly always. A follower each would cost 2 KB of an idle connection, and a dozen calls per event.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import type { Log } from '@patterns/kit/log';
import { frameOf } from './frames.ts';
import type { Outbox } from './outbox.ts';
import type { ChatData, ChatEvent } from './protocol.ts';

export interface Listener {
  readonly outbox: Outbox;
  /** Everything after that cursor, alone. */
  tell(cursor: string): void;
}

/** Between two attempts at a feed that failed. Meanwhile everybody is behind, and served alone. */
const RETRY_MS = 1_000;

export class Audience {
  readonly #members = new Set<Listener>();
  /** Those that would like to be. */
  readonly #behind = new Set<Listener>();
  /** The last event that all of them have been sent; undefined while nobody can be told what is new. */
  #head: string | undefined;

  get head(): string | undefined {
    return this.#head;
  }

  // #region audience
  /** Joins, if `cursor` is where the others are. Nothing can be dispatched meanwhile: so there is neither gap nor duplicate. */
  join(listener: Listener, cursor: string): boolean {
    if (cursor !== this.#head || listener.outbox.isFull) {
      this.#behind.add(listener);
      return false;
    }
    this.#behind.delete(listener);
    this.#members.add(listener);
    return true;
  }

  leave(listener: Listener): void {
    this.#members.delete(listener);
    this.#behind.delete(listener);
  }

  #tell(event: ChatEvent): void {
    this.#head = event.id;
    const frame = frameOf(event);
    for (const { outbox } of this.#behind) outbox.miss();
    for (const listener of this.#members) {
      listener.outbox.send(frame);
      if (!listener.outbox.isFull) continue;
      this.#members.delete(listener);
      listener.tell(event.id);
    }
  }
  // #endregion

  /** Follows the feed until `signal` aborts. */
  async follow(feed: Feed<ChatData>, signal: AbortSignal, log: Log): Promise<void> {
    while (!signal.aborted) {
      try {
        this.#head = await feed.position();
        await feed.follow({ after: this.#head, signal }, (event) => this.#tell(event));
      } catch (error) {
        if (!signal.aborted) log.error('the feed cannot be followed', { error });
        this.#disband();
        await delay(RETRY_MS, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Everybody goes on alone, and is told by the feed itself what has become of it. */
  #disband(): void {
    const cursor = this.#head;
    const members = [...this.#members];
    this.#head = undefined;
    this.#members.clear();
    for (const listener of members) listener.tell(cursor!);
  }
}
