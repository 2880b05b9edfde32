/** What everybody who is compared in the queues benchmark must be able to do, and the job that they all carry. */

/** Disposing it gives up the connections of a producer; a worker is killed instead. */
export interface Contestant extends AsyncDisposable {
  /** Puts one job there for each moment (by `performance`, `timeOrigin` included), all at once. */
  enqueue(dues: readonly number[]): Promise<void>;
  /** Works until the process ends; resolves when it has begun. */
  work(handle: (payload: Payload) => void): Promise<void>;
}

/** Some 160 bytes. */
export interface Payload {
  due: number;
  text: string;
}

export const payload = (due: number): Payload => ({ due, text: 'x'.repeat(120) });

/** Attempts that all who count them allow, with exponential backoff, before a job is set aside. */
export const MAX_ATTEMPTS = 5;

/** A measurement with problems is none. */
export function giveUp(problem: unknown): never {
  console.error(problem);
  process.exit(1);
}
