/** How much somebody may send: a bucket of tokens, filled at a steady rate. It needs no timer: it reckons when it is asked. */
export class TokenBucket {
  readonly #burst: number;
  readonly #perSecond: number;
  #tokens: number;
  #countedAt = performance.now();

  /** `burst`: how many at once; `perSecond`: how many in the long run. */
  constructor({ burst, perSecond }: { burst: number; perSecond: number }) {
    this.#burst = burst;
    this.#perSecond = perSecond;
    this.#tokens = burst;
  }

  /** Takes a token; false when there is none. */
  take(): boolean {
    const now = performance.now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#countedAt) / 1_000) * this.#perSecond);
    this.#countedAt = now;
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** How long until there is a token, in milliseconds. */
  get waitMs(): number {
    return Math.max(0, ((1 - this.#tokens) / this.#perSecond) * 1_000 - (performance.now() - this.#countedAt));
  }
}
