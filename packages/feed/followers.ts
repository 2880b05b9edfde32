/**
 * The fan-out that every feed shares: backlog first, then live, with neither gap nor duplicate between the two.
 *
 * A follower that is behind reads the log until its cursor has reached `head`, the last event dispatched here. Comparing the
 * two and joining the live ones is one synchronous step, in which nothing can be dispatched: so nothing needs to be buffered
 * for a follower that catches up. The latest events are kept in memory, so that the last stretch needs no reading, and a
 * thousand clients that resume together are served without asking the log a thousand times.
 */
import { compareIds, indexAfter } from './cursor.ts';
import { type FeedEvent, type FollowOptions, type Listener, NOTHING_SEEN, OLDEST } from './feed.ts';
import { Follower } from './follower.ts';

/** A piece of the log. `last` is the cursor to go on from, even where `events` is empty. */
export interface Page<T> {
  events: FeedEvent<T>[];
  last: string;
}

/** Reads what follows a cursor (or OLDEST), at once where the log is at hand. Throws or rejects with FeedError. */
export type ReadPage<T> = (after: string) => Page<T> | Promise<Page<T>>;

/** So many of the latest events are served from memory: what a busy feed brings while a client reconnects. */
const RECENT = 1_000;

export class Followers<T> {
  #readPage: ReadPage<T>;
  #all = new Set<Follower<T>>();
  #live = new Set<Follower<T>>();
  /** Followers that wait for `head` to reach their cursor: another connection told them of what has yet to come by here. */
  #ahead = new Map<Follower<T>, string>();
  #head = NOTHING_SEEN;
  #recent: FeedEvent<T>[] = [];
  #maxRecent: number;
  /** A listener may begin to follow: it joins when the event at hand has gone round, else it would get it twice. */
  #dispatching = false;
  #reading = new Map<string, Promise<Page<T>>>();

  /** `retain`: what the log keeps. Memory keeps no more, so that a cursor is valid here and there alike. */
  constructor(readPage: ReadPage<T>, retain: number) {
    this.#readPage = readPage;
    this.#maxRecent = Math.min(RECENT, retain);
  }

  /** The id of the last event dispatched. */
  get head(): string {
    return this.#head;
  }

  get size(): number {
    return this.#all.size;
  }

  /** Says where in the log the dispatching starts (again). */
  startAt(head: string): void {
    this.#head = head;
    this.#recent = [];
  }

  /** Hands events that follow `head` to every live follower. Must not be called from a listener. */
  dispatch({ events, last }: Page<T>): void {
    this.#dispatching = true;
    for (const event of events) {
      this.#recent.push(event);
      this.#head = event.id;
      for (const follower of this.#live) follower.receive(event);
      if (this.#ahead.size > 0) this.#joinThoseReached();
    }
    this.#head = last;
    this.#dispatching = false;
    if (this.#ahead.size > 0) this.#joinThoseReached();
    // Cut at twice the size, because cutting at each event would copy the list each time.
    if (this.#recent.length > 2 * this.#maxRecent) this.#recent.splice(0, this.#recent.length - this.#maxRecent);
  }

  /** Follows from a cursor (or OLDEST), which may still have to be found out. Resolves or rejects when it has ended. */
  follow(after: string | Promise<string>, options: FollowOptions, listener: Listener<T>): Promise<void> {
    const follower = new Follower(options, listener, (ended) => {
      this.#all.delete(ended);
      this.#live.delete(ended);
      this.#ahead.delete(ended);
    });
    this.#all.add(follower);
    this.#catchUp(follower, after).catch((error: unknown) => follower.end({ error }));
    return follower.done;
  }

  /** Ends every follower with an error. */
  endAll(error: Error): void {
    for (const follower of this.#all) follower.end({ error });
  }

  async #catchUp(follower: Follower<T>, start: string | Promise<string>): Promise<void> {
    let cursor = typeof start === 'string' ? start : await start;
    do {
      const reading = this.#pageFromMemory(cursor) ?? this.#pageFromLog(cursor);
      const page = reading instanceof Promise ? await reading : reading;
      for (const event of page.events) {
        const busy = follower.deliver(event);
        if (busy) await busy;
        if (follower.ended) return;
      }
      cursor = page.last;
    } while (compareIds(cursor, this.#head) < 0);
    if (follower.ended) return;
    this.#ahead.set(follower, cursor);
    if (!this.#dispatching) this.#joinThoseReached();
  }

  /** Undefined when only the log can tell: what is older than memory, and a cursor beyond `head`, which may be of no event. */
  #pageFromMemory(after: string): Page<T> | undefined {
    if (after === this.#head) return { events: [], last: after };
    const oldest = this.#recent[Math.max(0, this.#recent.length - this.#maxRecent)];
    if (after === OLDEST || !oldest || compareIds(after, oldest.id) < 0) return undefined;
    if (compareIds(after, this.#head) > 0) return undefined;
    return { events: this.#recent.slice(indexAfter(this.#recent, after)), last: this.#head };
  }

  /** Followers at the same place share one reading, and so its event objects. */
  #pageFromLog(after: string): Page<T> | Promise<Page<T>> {
    const shared = this.#reading.get(after);
    if (shared) return shared;
    const page = this.#readPage(after);
    if (!(page instanceof Promise)) return page;
    const reading = page.finally(() => this.#reading.delete(after));
    this.#reading.set(after, reading);
    return reading;
  }

  #joinThoseReached(): void {
    for (const [follower, cursor] of this.#ahead) {
      if (compareIds(cursor, this.#head) > 0) continue;
      this.#ahead.delete(follower);
      this.#live.add(follower);
    }
  }
}
