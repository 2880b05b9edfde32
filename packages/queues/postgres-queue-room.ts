/**
 * How much fits into a queue: a bound that is kept without counting for each job.
 *
 * A count takes as long as there is something to count, and a counter in a row would make all who enqueue wait for each other.
 * So each producer counts now and then, and adds what it has put there itself. Alone it never exceeds the bound; several may,
 * by what the others enqueue within `COUNT_MS`.
 */
import type pg from 'pg';
import { QueueError } from './job.ts';

/** A hundred thousand rows take some 10 ms: one in a hundred. */
const COUNT_MS = 1_000;
/** Told to whoever is refused: a worker that is well has made room by then. */
const RETRY_AFTER_MS = 1_000;

const COUNT = 'select count(*)::int as jobs from (select from queues.jobs where queue = $1 limit $2) as job';

export class Room {
  readonly #pool: pg.Pool;
  readonly #queue: string;
  readonly #capacity: number;
  /** Let in since the count began, or under way when it did. */
  #added = 0;
  #underWay = 0;
  #counted = Number.POSITIVE_INFINITY;
  #countedAt = Number.NEGATIVE_INFINITY;
  #counting: Promise<void> | undefined;

  constructor(pool: pg.Pool, queue: string, capacity: number) {
    this.#pool = pool;
    this.#queue = queue;
    this.#capacity = capacity;
  }

  /** Runs `insert` if there is room for so many jobs. @throws {QueueError} `full` */
  async enter<T>(jobs: number, insert: () => Promise<T>): Promise<T> {
    if (performance.now() - this.#countedAt > COUNT_MS || !this.#fits(jobs)) await this.#count();
    if (!this.#fits(jobs)) {
      throw new QueueError('full', `queue ${this.#queue} holds ${this.#capacity} jobs`, {
        retryAfterMs: RETRY_AFTER_MS,
      });
    }
    this.#added += jobs;
    this.#underWay += jobs;
    try {
      return await insert();
    } finally {
      this.#underWay -= jobs;
    }
  }

  #fits(jobs: number): boolean {
    return this.#counted + this.#added + jobs <= this.#capacity;
  }

  /** One at a time, for all who want to know: a crowd that is refused costs one count, and not one each. */
  #count(): Promise<void> {
    this.#counting ??= (async () => {
      const startedAt = performance.now();
      this.#added = this.#underWay; // which the count may or may not see
      const { rows } = await this.#pool.query<{ jobs: number }>({
        name: 'count',
        text: COUNT,
        values: [this.#queue, this.#capacity],
      });
      this.#counted = rows[0]?.jobs ?? 0;
      this.#countedAt = startedAt;
    })().finally(() => {
      this.#counting = undefined;
    });
    return this.#counting;
  }
}
