/**
 * Which number comes next: all that makes a lossy channel safe to listen to. Pure: it knows no Redis.
 *
 * Numbers have no holes, so one that is too high says that something was missed, and how much. It does not tell of the loss of the
 * last message, after which nothing comes: for that the reader compares itself with the log's head now and then (client.ts).
 */

// #region gap
export type Arrival = 'next' | 'seen' | 'gap';

/** What a number means to somebody who has seen everything up to `last`. */
export function arrivalOf(seq: number, last: number): Arrival {
  if (seq <= last) return 'seen';
  return seq === last + 1 ? 'next' : 'gap';
}
// #endregion

/** Messages that were missed, first and last included. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  /** A number that was too high, a subscription that was lost for a while, or a look at the log's head now and then. */
  readonly foundBy: Clue;
}

export type Clue = 'number' | 'resubscription' | 'look';

/** What one reader has come across so far. */
export class Tally {
  /** Came over the channel, in turn. */
  live = 0;
  /** Came from the log: the backlog at the beginning, and what filled gaps. */
  fromLog = 0;
  /** Came both ways, and were dropped once. */
  repeated = 0;
  gaps = 0;
  missed = 0;
}
