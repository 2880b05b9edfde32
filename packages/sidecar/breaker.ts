/**
 * A circuit breaker: an app that has failed several times in a row is left alone for a while, then asked once.
 *
 *     closed ──(maxFailures in a row)──► open ──(openMs)──► half-open ──(the probe is answered)──► closed
 *                                         ▲                     │
 *                                         └────(it is not)──────┘
 *
 * It protects both sides: clients get their 503 at once instead of after a timeout, and an app that is drowning is not asked
 * to swim faster. Failing means giving no answer; a 500 is an answer.
 */

export interface BreakerOptions {
  /** In a row. Fewer, and one slow request in a bad moment closes the shop. */
  maxFailures: number;
  /** How long the app is left alone: the time it may take to restart. */
  openMs: number;
}

export type BreakerState = 'closed' | 'open' | 'half-open';

/** The right to ask the app once. Settle it exactly once; what comes later has no effect. */
export interface Permit {
  answered(): void;
  failed(): void;
  /** The client left before it was known. */
  abandoned(): void;
}

// #region breaker
export class Breaker {
  readonly #options: BreakerOptions;
  readonly #onChange: (state: BreakerState) => void;
  #state: BreakerState = 'closed';
  #failures = 0;
  #openedAt = 0;
  #probing = false;

  constructor(options: BreakerOptions, onChange: (state: BreakerState) => void = () => {}) {
    this.#options = options;
    this.#onChange = onChange;
  }

  get state(): BreakerState {
    return this.#state;
  }

  /** Until the app may be asked again; 0 when it may be. */
  get waitMs(): number {
    return this.#state === 'open' ? Math.max(0, this.#openedAt + this.#options.openMs - performance.now()) : 0;
  }

  /** Asks to ask. Undefined: not now. */
  enter(): Permit | undefined {
    if (this.#state === 'open' && this.waitMs === 0) this.#become('half-open');
    if (this.#state === 'open' || (this.#state === 'half-open' && this.#probing)) return undefined;
    const isProbe = this.#state === 'half-open';
    if (isProbe) this.#probing = true;
    let isSettled = false;
    const settle = (then: () => void) => () => {
      if (isSettled) return;
      isSettled = true;
      if (isProbe) this.#probing = false;
      // What was asked before it opened says nothing about the app that the probe has found.
      if (isProbe || this.#state === 'closed') then();
    };
    return {
      answered: settle(() => {
        this.#failures = 0;
        this.#become('closed');
      }),
      failed: settle(() => {
        if (isProbe || ++this.#failures >= this.#options.maxFailures) this.#open();
      }),
      abandoned: settle(() => {}),
    };
  }

  #open(): void {
    this.#failures = 0;
    this.#openedAt = performance.now();
    this.#become('open');
  }
  // #endregion

  #become(state: BreakerState): void {
    if (state === this.#state) return;
    this.#state = state;
    this.#onChange(state);
  }
}
