/**
 * Asking a second time. Only what is idempotent and has no body (a body is gone once it is sent), only once, and only within a
 * budget: when everything fails, retries double the load on an app that is in trouble already. One layer retries; here it is this one.
 */

export interface RetryOptions {
  /** Retries allowed for each request that is asked for the first time: 0.1 is one in ten. */
  ratio: number;
  /** How many may be saved up in quiet times. */
  reserve: number;
}

/** [RFC 9110 §9.2.2] without TRACE. */
const IDEMPOTENT = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** Whether it may be sent twice: what it does twice is what it does once, and nothing of it has been used up. */
export function isRepeatable(method: string, hasBody: boolean): boolean {
  return IDEMPOTENT.has(method) && !hasBody;
}

/** Long enough for a process manager to notice, different for each: what failed together is not repeated together. */
export function retryDelayMs(): number {
  return 20 + Math.random() * 80;
}

// #region budget
export class RetryBudget {
  readonly #options: RetryOptions;
  #saved: number;

  constructor(options: RetryOptions) {
    this.#options = options;
    this.#saved = options.reserve;
  }

  /** A request is asked for the first time: that earns a part of a retry. */
  earn(): void {
    this.#saved = Math.min(this.#options.reserve, this.#saved + this.#options.ratio);
  }

  /** Takes one retry out of the budget, if there is one. */
  spend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved--;
    return true;
  }
}
// #endregion
