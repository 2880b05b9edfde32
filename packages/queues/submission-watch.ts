/**
 * Tells the streams when something has changed: one query for all of them, however many there are, as long as there are any.
 *
 * The workers are other processes, and the database is what they share with the front. It could call us (LISTEN), on a
 * connection of its own, which must be made anew when it breaks; a verdict that took seconds can wait for the next look.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { SubmissionStatus } from './submission.ts';

type Tell = (status: SubmissionStatus) => void;

export class SubmissionWatch {
  readonly #find: (ids: readonly string[]) => Promise<readonly SubmissionStatus[]>;
  readonly #everyMs: number;
  readonly #watchers = new Set<{ last: SubmissionStatus; tell: Tell }>();
  #isLooking = false;

  /** @param everyMs how often it looks. 200 ms: what a person does not notice. */
  constructor(find: (ids: readonly string[]) => Promise<readonly SubmissionStatus[]>, everyMs = 200) {
    this.#find = find;
    this.#everyMs = everyMs;
  }

  get size(): number {
    return this.#watchers.size;
  }

  /** Tells `first` at once, and then each change of it. @returns what ends it. */
  watch(first: SubmissionStatus, tell: Tell): () => void {
    const watcher = { last: first, tell };
    this.#watchers.add(watcher);
    tell(first);
    if (!this.#isLooking) void this.#look();
    return () => this.#watchers.delete(watcher);
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    while (this.size > 0) {
      await pause(this.#everyMs);
      const ids = new Set([...this.#watchers].map(({ last }) => last.id));
      // Without an answer nothing is told; the next look may get one.
      const found = await this.#find([...ids]).catch(() => []);
      const now = new Map(found.map((status) => [status.id, status]));
      for (const watcher of this.#watchers) {
        const status = now.get(watcher.last.id);
        if (!status || status.state === watcher.last.state) continue;
        watcher.last = status;
        watcher.tell(status);
      }
    }
    this.#isLooking = false;
  }
}
