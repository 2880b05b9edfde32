/**
 * The two things that one can wait for here: what is new in the inbox, and a report. What they have in common is all that the
 * server knows of them (`Waiting`), so that parking, waking and giving up are written once.
 */
import { indexAfter } from '@patterns/feed/cursor';
import type { Feed } from '@patterns/feed/feed';
import { HttpProblem } from '@patterns/kit/problem';
import { ANYTHING } from './parked.ts';
import { encodeReport, encodeUpdates, type Notice, type Update } from './protocol.ts';
import type { Tail } from './tail.ts';

export interface Answer {
  readonly body: string;
  /** Where to ask on; only an inbox has a place. */
  readonly cursor?: string;
}

export interface Waiting {
  /** What wakes it. */
  readonly topic: string;
  readonly cursor?: string;
  /** The updates that matter, from memory, or undefined when only the log has them. */
  known(): readonly Update[] | undefined;
  /** The updates that matter, from the log. Rejects with FeedError or HttpProblem. */
  look(): Promise<readonly Update[]>;
  /** The answer, if it is in these updates. */
  answer(updates: readonly Update[]): Answer | undefined;
}

// #region once
/** Encodes each batch once, however many clients wait at the same place. */
export class Batches {
  readonly limit: number;
  #last: { from: string; to: string; answer: Answer } | undefined;

  /** `limit`: the most updates in an answer. Whoever is further behind asks again at once. */
  constructor(limit: number) {
    this.limit = limit;
  }

  of(updates: readonly Update[]): Answer {
    const batch = updates.slice(0, this.limit);
    const [from, to] = [batch[0]!.id, batch.at(-1)!.id];
    // The same ends, the same updates: the log has one order.
    if (this.#last?.from !== from || this.#last.to !== to) {
      this.#last = { from, to, answer: { body: encodeUpdates(batch), cursor: to } };
    }
    return this.#last.answer;
  }
}
// #endregion

/** `GET /updates`: whatever comes after the cursor. */
export class Inbox implements Waiting {
  readonly topic = ANYTHING;
  readonly cursor: string;
  readonly #feed: Feed<Notice>;
  readonly #tail: Tail;
  readonly #batches: Batches;

  constructor(feed: Feed<Notice>, tail: Tail, batches: Batches, after: string) {
    this.#feed = feed;
    this.#tail = tail;
    this.#batches = batches;
    this.cursor = after;
  }

  known(): readonly Update[] | undefined {
    return this.#tail.after(this.cursor);
  }

  look(): Promise<readonly Update[]> {
    return this.#feed.read({ after: this.cursor, limit: this.#batches.limit });
  }

  answer(updates: readonly Update[]): Answer | undefined {
    // The news may be older than this client: it has been told them by a server that was faster.
    const from = indexAfter(updates, this.cursor);
    return from < updates.length ? this.#batches.of(from === 0 ? updates : updates.slice(from)) : undefined;
  }
}

/** `GET /reports/:id`: the report, when it is ready. */
export class PendingReport implements Waiting {
  readonly topic: string;
  readonly #feed: Feed<Notice>;
  readonly #tail: Tail;

  constructor(feed: Feed<Notice>, tail: Tail, id: string) {
    this.#feed = feed;
    this.#tail = tail;
    this.topic = id;
  }

  known(): readonly Update[] | undefined {
    const updates = this.#tail.ofTopic(this.topic);
    return updates.length > 0 ? updates : undefined;
  }

  async look(): Promise<readonly Update[]> {
    const updates = await this.#feed.read({ topic: this.topic });
    if (updates.length === 0) throw new HttpProblem(404, { detail: 'no such report was ordered' });
    return updates;
  }

  answer(updates: readonly Update[]): Answer | undefined {
    for (const { topic, data } of updates) {
      if (topic === this.topic && data.type === 'report-ready') {
        return { body: encodeReport({ id: topic, title: data.title, pages: data.pages }) };
      }
    }
    return undefined;
  }
}
