/**
 * The requests that wait. A parked request is a response that nobody has answered yet, a timer, and its place in two lists.
 *
 * Its waiting ends in exactly one of several ways, and all go through `leave`: whoever comes first may answer, and whoever comes
 * later is told that it is over. Nothing else is cleaned up anywhere.
 */
import type { ServerResponse } from 'node:http';
import { HttpProblem } from '@patterns/kit/problem';
import type { Metrics } from './metrics.ts';
import type { Update } from './protocol.ts';

/** How a waiting ended: `left` is the client's doing, `failed` the feed's. */
export type Outcome = 'delivered' | 'timeout' | 'left' | 'replaced' | 'shutdown' | 'failed';

/** The topic of who waits for whatever comes. */
export const ANYTHING = '';

export interface Place {
  /** Who waits, for the limit. */
  readonly client: string;
  /** A client that gave its name waits once for each topic. Behind an address there may be many. */
  readonly isNamed: boolean;
  /** What wakes it. */
  readonly topic: string;
  /** Called once if the waiting ended by `timeout`, `replaced` or `shutdown`: there is nothing to tell. */
  readonly tellNothing: () => void;
  /** Called with what is new, until it has ended the waiting. */
  readonly wake: (fresh: readonly Update[]) => void;
}

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
  readonly #byClient = new Map<string, Set<Parked>>();
  readonly #options: ParkingOptions;
  size = 0;

  constructor(options: ParkingOptions) {
    this.#options = options;
  }

  // #region park
  /** @throws {HttpProblem} 503 when the client, or all of them together, have too many parked. */
  park(response: ServerResponse, place: Place): Parked {
    const { maxParked, maxPerClient, metrics } = this.#options;
    const own = this.#byClient.get(place.client);
    if (own && place.isNamed) {
      // The client has lost its connection, and we have not heard of it yet: it will never ask for two.
      for (const earlier of own) if (earlier.place.topic === place.topic) earlier.giveUp('replaced');
    }
    if (this.size >= maxParked || (own && own.size >= maxPerClient)) {
      metrics.refused.inc();
      const seconds = 1 + Math.floor(Math.random() * 5); // not all of them in the same second
      throw new HttpProblem(503, {
        detail: 'too many requests are waiting',
        headers: { 'Retry-After': String(seconds) },
      });
    }
    const parked = new Parked(place, this);
    add(this.#byTopic, place.topic, parked);
    add(this.#byClient, place.client, parked);
    this.size++;
    // The response's `close`, which also comes when the client has gone; the request's comes as soon as its body is read.
    response.on('close', () => parked.leave('left'));
    return parked;
  }
  // #endregion

  /** Called by a parked request that leaves. */
  remove(parked: Parked, outcome: Outcome): void {
    drop(this.#byTopic, parked.place.topic, parked);
    drop(this.#byClient, parked.place.client, parked);
    this.size--;
    this.#options.metrics.held(outcome, performance.now() - parked.since);
  }

  /** Wakes whoever waits for one of these, which are known since `newsSince`, on the clock of `performance.now()`. */
  wake(fresh: readonly Update[], newsSince: number): void {
    const before = this.size;
    const topics = new Set(fresh.map(({ topic }) => topic)).add(ANYTHING);
    for (const topic of topics) for (const { place } of this.#byTopic.get(topic) ?? []) place.wake(fresh);
    if (this.size < before) this.#options.metrics.wokenAfter(performance.now() - newsSince);
  }

  /** Sends all of them away. They ask again, here or elsewhere. */
  empty(outcome: 'timeout' | 'shutdown'): void {
    for (const group of this.#byTopic.values()) for (const parked of group) parked.giveUp(outcome);
  }
}

export class Parked {
  readonly place: Place;
  readonly since = performance.now();
  readonly #parking: Parking;
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;

  constructor(place: Place, parking: Parking) {
    this.place = place;
    this.#parking = parking;
  }

  // #region leave
  /** Ends the waiting. Only the first one is told true, and may answer. */
  leave(outcome: Outcome): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#parking.remove(this, outcome);
    return true;
  }
  // #endregion

  /** Begins to hold the request, for so many milliseconds. */
  hold(holdMs: number): void {
    if (!this.#isOver) this.#timer = setTimeout(() => this.giveUp('timeout'), holdMs);
  }

  giveUp(outcome: 'timeout' | 'replaced' | 'shutdown'): void {
    if (this.leave(outcome)) this.place.tellNothing();
  }
}

function add(groups: Map<string, Set<Parked>>, key: string, parked: Parked): void {
  const group = groups.get(key);
  if (group) group.add(parked);
  else groups.set(key, new Set([parked]));
}

function drop(groups: Map<string, Set<Parked>>, key: string, parked: Parked): void {
  const group = groups.get(key);
  group?.delete(parked);
  if (group?.size === 0) groups.delete(key);
}
