/**
 * The interval that the server asks for. A polled server cannot choose when it is asked, but it can ask to be asked less
 * often: when there are more polls than it wants, each client is told to wait twice as long, and again, until it fits.
 */
export interface DemandOptions {
  /** What a client is asked to wait when there is no hurry, in seconds, as Retry-After counts; 0: as it likes. */
  intervalS: number;
  /** Polls per second that this process wants at most. */
  targetPerSecond: number;
  /** 60 s: who is told to wait longer might as well be told to go away. */
  maxIntervalS?: number;
  /** Milliseconds on a clock that only goes forward. */
  now?: () => number;
}

// #region demand
/** Made once for a server. The function counts one poll, and says how many seconds its client should wait. */
export function createDemand({
  intervalS: leastS,
  targetPerSecond,
  maxIntervalS = 60,
  now = () => performance.now(),
}: DemandOptions): () => number {
  let intervalS = leastS;
  let polls = 0;
  let since = now();
  return () => {
    polls += 1;
    const elapsedMs = now() - since;
    // Every client has to hear of an interval before its effect can be seen: so one step, and then as long a look.
    if (elapsedMs >= Math.max(1, intervalS) * 1_000) {
      const perSecond = polls / (elapsedMs / 1_000);
      if (perSecond > targetPerSecond) intervalS = Math.min(maxIntervalS, Math.max(1, intervalS * 2));
      // A third and not a half: halving the interval doubles the polls, and the next step would take it back.
      else if (perSecond < targetPerSecond / 3) intervalS = intervalS <= 1 ? leastS : Math.max(leastS, intervalS / 2);
      polls = 0;
      since = now();
    }
    return intervalS;
  };
}
// #endregion
