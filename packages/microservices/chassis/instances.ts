/**
 * The instances of one service, asked in turn. One that could not be reached is left out for a moment: else every second call would
 * meet the dead one first, and spend a retry on it.
 */

/** As long as a restart takes. After it, one call finds out. */
const REST_MS = 1_000;

export class Instances {
  readonly #urls: readonly string[];
  readonly #restsUntil = new Map<string, number>();
  #turn = 0;

  constructor(urls: readonly string[]) {
    if (urls.length === 0) throw new RangeError('a dependency has at least one URL');
    this.#urls = urls;
  }

  /** The next one that does not rest, and else the next one. Those in `tried` only when there is no other. */
  next(tried: ReadonlySet<string> = new Set()): string {
    const turn = this.#turn++;
    const inTurn = this.#urls.map((_, i) => this.#urls[(turn + i) % this.#urls.length]!);
    const untried = inTurn.filter((url) => !tried.has(url));
    const candidates = untried.length > 0 ? untried : inTurn;
    return candidates.find((url) => !this.#rests(url)) ?? candidates[0]!;
  }

  /** Whether there is one that is not among `tried`. */
  hasOther(tried: ReadonlySet<string>): boolean {
    return this.#urls.some((url) => !tried.has(url));
  }

  /** It could not be reached. */
  rest(url: string): void {
    this.#restsUntil.set(url, performance.now() + REST_MS);
  }

  #rests(url: string): boolean {
    return performance.now() < (this.#restsUntil.get(url) ?? 0);
  }
}
