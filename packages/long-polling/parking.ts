/** The requests that wait: by what wakes them, and by who waits; how many there may be, and how they are woken. */
import type { ServerResponse } from 'node:http';
import { HttpProblem } from '@patterns/kit/problem';
import type { Metrics } from './metrics.ts';
import { ANYTHING, type Outcome, Parked, type Place } from './parked.ts';
import type { Update } from './protocol.ts';

/** Never longer than the client waits, and up to a fifth shorter: who came together does not come back together. */
export function holdFor(waitMs: number | undefined, maxHoldMs: number): number {
  // One of 32 lengths: Node keeps a list of timers for each length that there is, and finding a place among lists is not free.
  return Math.min(waitMs ?? maxHoldMs, maxHoldMs) * (1 - Math.floor(Math.random() * 32) / 160);
}

export interface ParkingOptions {
  maxParked: number;
  maxPerClient: number;
  metrics: Metrics;
}

export class Parking {
  readonly #byTopic = new Map<string, Set<Parked>>();
  readonly #byClient = new Map<string, Parked[]>();
  readonly #options: ParkingOptions;
  size = 0;

  constructor(options: ParkingOptions) {
    this.#options = options;
  }

  // #region park
  /** @throws {HttpProblem} 503 when the client, or all of them together, have too many parked. */
  park(response: ServerResponse, place: Place): Parked {
    const { maxParked, maxPerClient, metrics } = this.#options;
    const own = this.#ownOf(place.client);
    // The client has lost its connection, and we have not heard of it yet: it will never ask for two.
    if (place.isNamed) own.find((earlier) => earlier.place.topic === place.topic)?.giveUp('replaced');
    if (this.size >= maxParked || own.length >= maxPerClient) {
      metrics.refused.inc();
      const seconds = 1 + Math.floor(Math.random() * 5); // not all of them in the same second
      throw new HttpProblem(503, {
        detail: 'too many requests are waiting',
        headers: { 'Retry-After': String(seconds) },
      });
    }
    const parked = new Parked(place, this);
    own.push(parked);
    this.#add(parked);
    this.size++;
    // The response's `close`, which also comes when the client has gone; the request's comes as soon as its body is read.
    response.on('close', () => parked.leave('left'));
    return parked;
  }
  // #endregion

  /** Called by a parked request that leaves. */
  remove(parked: Parked, outcome: Outcome): void {
    const { topic, client } = parked.place;
    this.#byTopic.get(topic)?.delete(parked);
    this.#forgetIfEmpty(topic);
    const own = this.#byClient.get(client)!;
    own.splice(own.indexOf(parked), 1);
    this.size--;
    this.#options.metrics.held(outcome, performance.now() - parked.since);
  }

  /** Wakes whoever waits for one of these, which are known since `newsSince`, on the clock of `performance.now()`. */
  wake(fresh: readonly Update[], newsSince: number): void {
    const before = this.size;
    const topics = new Set(fresh.map(({ topic }) => topic)).add(ANYTHING);
    for (const topic of topics) {
      const waiting = this.#byTopic.get(topic);
      if (!waiting) continue;
      this.#byTopic.set(topic, new Set()); // nearly all of them leave: together, and not one by one
      for (const parked of waiting) {
        parked.place.wake(fresh);
        if (!parked.isOver) this.#add(parked);
      }
      this.#forgetIfEmpty(topic);
    }
    if (this.size < before) this.#options.metrics.wokenAfter(performance.now() - newsSince);
  }

  /** A report is waited for once; for whatever comes, somebody always waits. */
  #forgetIfEmpty(topic: string): void {
    if (topic !== ANYTHING && this.#byTopic.get(topic)?.size === 0) this.#byTopic.delete(topic);
  }

  #add(parked: Parked): void {
    const { topic } = parked.place;
    const waiting = this.#byTopic.get(topic);
    if (waiting) waiting.add(parked);
    else this.#byTopic.set(topic, new Set([parked]));
  }

  /**
   * A client that leaves comes back at once, as a rule: its entry stays, empty, until there are too many such. A Map that
   * shrinks and grows all the time is dear: in V8 its old tables lead to the new ones, so a young collection keeps them alive,
   * with all that was ever in them. It doubled the CPU of a wake.
   */
  #ownOf(client: string): Parked[] {
    const known = this.#byClient.get(client);
    if (known) return known;
    if (this.#byClient.size >= 2 * this.size + 1_000) {
      for (const [each, { length }] of this.#byClient) if (length === 0) this.#byClient.delete(each);
    }
    const own: Parked[] = [];
    this.#byClient.set(client, own);
    return own;
  }

  /** Sends all of them away. They ask again, here or elsewhere. */
  empty(outcome: 'timeout' | 'shutdown'): void {
    for (const group of this.#byTopic.values()) for (const parked of group) parked.giveUp(outcome);
  }
}
