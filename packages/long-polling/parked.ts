/**
 * A parked request: a response that nobody has answered yet, a timer, and its place in two lists (parking.ts).
 *
 * Its waiting ends in exactly one of several ways, and all go through `leave`: whoever comes first may answer, and whoever comes
 * later is told that it is over. Nothing else is cleaned up anywhere.
 */
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

interface Remover {
  remove(parked: Parked, outcome: Outcome): void;
}

export class Parked {
  readonly place: Place;
  readonly since = performance.now();
  readonly #parking: Remover;
  #timer: NodeJS.Timeout | undefined;
  isOver = false;

  constructor(place: Place, parking: Remover) {
    this.place = place;
    this.#parking = parking;
  }

  // #region leave
  /** Ends the waiting. Only the first one is told true, and may answer. */
  leave(outcome: Outcome): boolean {
    if (this.isOver) return false;
    this.isOver = true;
    clearTimeout(this.#timer);
    this.#parking.remove(this, outcome);
    return true;
  }
  // #endregion

  /** Begins to hold the request, for so many milliseconds. */
  hold(holdMs: number): void {
    if (!this.isOver) this.#timer = setTimeout(() => this.giveUp('timeout'), holdMs);
  }

  giveUp(outcome: 'timeout' | 'replaced' | 'shutdown'): void {
    if (this.leave(outcome)) this.place.tellNothing();
  }
}
