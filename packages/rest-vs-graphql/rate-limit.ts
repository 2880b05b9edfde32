/**
 * How much a client may ask for. Requests are the wrong unit: one may be a name badge or a thousand rows. So what is
 * counted is the cost that was computed before (cost.ts).
 *
 * A token bucket per client: it holds `capacity`, and `perSecond` flows back into it. It is in the memory of this process, so n
 * servers allow n times as much; a limit for all of them together keeps its buckets in Redis.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { LRUCache } from 'lru-cache';

export interface Rate {
  /** What may be spent at once. */
  readonly capacity: number;
  readonly perSecond: number;
}

/** A hundred feed screens at once, and ten per second from then on: more than a person scrolls through. */
export const RATE: Rate = { capacity: 10_000, perSecond: 1_000 };

/** Clients remembered. Who is forgotten, since so many others came, has a full bucket again. */
const MAX_CLIENTS = 10_000;

export class CostBudget {
  readonly #rate: Rate;
  readonly #buckets = new LRUCache<string, { left: number; at: number }>({ max: MAX_CLIENTS });

  constructor(rate: Rate) {
    this.#rate = rate;
  }

  // #region take
  /** @throws {HttpProblem} 429 with Retry-After, when the client has not so much left. */
  take(client: string, cost: number): void {
    const { capacity, perSecond } = this.#rate;
    const now = performance.now();
    const bucket = this.#buckets.get(client) ?? { left: capacity, at: now };
    const seconds = Math.max(now - bucket.at, 0.001) / 1_000; // more than none: endlessly much of nothing is not a number
    const left = Math.min(capacity, bucket.left + seconds * perSecond);
    const price = Math.min(cost, capacity); // what is dearer than a full bucket empties it; else it could never be paid
    const isEnough = price <= left;
    this.#buckets.set(client, { left: isEnough ? left - price : left, at: now });
    if (isEnough) return;
    throw new HttpProblem(429, {
      detail: `the operation costs ${cost}, and you have ${Math.floor(left)} left`,
      headers: { 'Retry-After': String(Math.ceil((price - left) / perSecond)) },
    });
  }
  // #endregion
}
