/**
 * What a worker says about the jobs in its hands, in Redis: what became of them, or that it needs more time. Both are told which of
 * them were not its own any more.
 */
import type { Redis } from 'ioredis';
import type { Delivery, Outcome } from './queue.ts';
import { unavailable } from './redis-queue-connection.ts';
import { DONE, PUT_BACK, run } from './redis-queue-scripts.ts';

// #region settle
/** `keys`: as the scripts have them. @returns those whose lease was over. @throws {QueueError} `unavailable` */
export async function settle(redis: Redis, keys: string[], outcomes: readonly Outcome[]): Promise<Delivery[]> {
  const [done, back]: [string[], (string | number)[]] = [[], []];
  for (const outcome of outcomes) {
    const id = outcome.delivery.receipt as string;
    const delayMs = 'delayMs' in outcome ? Math.ceil(outcome.delayMs) : 0;
    if (outcome.as === 'done') done.push(id);
    else back.push(id, outcome.as, delayMs, 'reason' in outcome ? outcome.reason : '');
  }
  const answers = await Promise.all([
    done.length > 0 ? run(redis, DONE, keys, done) : [],
    back.length > 0 ? run(redis, PUT_BACK, keys, back) : [],
  ]);
  const lost = new Set(answers.flat());
  return lost.size === 0 ? [] : outcomes.map(({ delivery }) => delivery).filter(({ receipt }) => lost.has(receipt));
}
// #endregion

/**
 * Begins the lease anew, under the name of `holder`, which says how long it is. XCLAIM passes over an id that is in nobody's hand, so
 * those that come back are ours; with JUSTID it is no new delivery.
 */
export async function extend(
  redis: Redis,
  [jobs = '']: string[],
  holder: string,
  deliveries: readonly Delivery[],
): Promise<Delivery[]> {
  if (deliveries.length === 0) return [];
  const ids = deliveries.map(({ receipt }) => receipt as string);
  try {
    const kept = new Set(await redis.xclaim(jobs, 'workers', holder, 0, ...ids, 'JUSTID'));
    return deliveries.filter(({ receipt }) => !kept.has(receipt));
  } catch (error) {
    throw unavailable(error);
  }
}
