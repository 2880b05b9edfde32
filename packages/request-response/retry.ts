/**
 * When to ask again, and how long to wait before: the rules that keep retries from making an outage worse.
 */

/** What may be repeated as it is: asking twice has the effect of asking once [RFC 9110 §9.2.2]. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'PUT', 'DELETE', 'OPTIONS']);

/** Whether a request may be sent again when nobody knows what became of it. A POST may, if it has a key. */
export function isSafeToRepeat(method: string, headers: Readonly<Record<string, string>>): boolean {
  return IDEMPOTENT.has(method) || 'Idempotency-Key' in headers;
}

/** Statuses that pass: too many requests, a gateway or server in trouble. 409 is the key that is still in progress. */
export function isPassing(status: number, retryAfter: string | null): boolean {
  return [429, 502, 503, 504].includes(status) || (status === 409 && retryAfter !== null);
}

// #region backoff
/** 100 ms: a server that was only restarting is asked soon. */
const BASE_MS = 100;
/** 5 s: no deadline of ours is longer than a few of these. */
const CAP_MS = 5_000;

/**
 * How long to wait after the `attempt`-th failure, counted from 0: anything up to an exponentially growing limit ("full
 * jitter"), so that clients which failed together do not come back together. Never sooner than the server asked.
 * @returns milliseconds.
 */
export function backoffMs(attempt: number, retryAfter: string | null): number {
  const jitter = Math.random() * Math.min(CAP_MS, BASE_MS * 2 ** attempt);
  return retryAfterMs(retryAfter) + jitter;
}

/** Reads a field `Retry-After`, which is seconds or a date [RFC 9110 §10.2.3]. @returns milliseconds, 0 when it says nothing. */
export function retryAfterMs(field: string | null, now = Date.now()): number {
  if (field === null) return 0;
  if (/^\d+$/.test(field)) return Number(field) * 1_000;
  const date = Date.parse(field);
  return Number.isNaN(date) ? 0 : Math.max(0, date - now);
}
// #endregion

/**
 * Bounds the retries of a whole process to a share of its calls. Three retries a call would turn an overload into four times
 * the load; with a budget it is at most a tenth more, however many calls fail.
 */
export class RetryBudget {
  readonly #share: number;
  readonly #burst: number;
  #left: number;

  /** @param burst how many retries a process may make at once, and before its first success. */
  constructor({ share = 0.1, burst = 10 }: { share?: number; burst?: number } = {}) {
    this.#share = share;
    this.#burst = burst;
    this.#left = burst;
  }

  /** Counts a call. */
  earn(): void {
    this.#left = Math.min(this.#burst, this.#left + this.#share);
  }

  /** Takes one retry, if there is one left. */
  spend(): boolean {
    if (this.#left < 1) return false;
    this.#left -= 1;
    return true;
  }
}
