/**
 * The menu, as everybody wants it and as hardly ever changes: asked for once in two seconds, however many look at it. When the order
 * service is away the last one is shown, and says so (`degraded`): somebody who reads a menu of ten minutes ago can still choose,
 * and the price is the one at the time of the order, in any case.
 */
import type { Menu } from '../protocol.ts';

/** How long it is shown without asking. A new price is seen as much later. */
const FRESH_MS = 2_000;
/** How old it may become while nobody can be asked. */
const STALE_MS = 10 * 60_000;

export interface Shown {
  readonly menu: Menu;
  readonly ageSeconds: number;
}

/** @param fetchMenu asks for it. @returns a function that throws what `fetchMenu` threw, when there is none to show instead. */
export function keepMenu(fetchMenu: () => Promise<Menu>, freshMs = FRESH_MS): () => Promise<Shown> {
  let kept: { readonly menu: Menu; readonly at: number } | undefined;
  let underway: Promise<void> | undefined;
  const ageMs = () => (kept ? performance.now() - kept.at : Number.POSITIVE_INFINITY);

  /** However many want it at once, there is one request. */
  function refresh(): Promise<void> {
    underway ??= fetchMenu()
      .then((menu) => {
        kept = { menu, at: performance.now() };
      })
      .finally(() => {
        underway = undefined;
      });
    return underway;
  }

  return async () => {
    let degraded = false;
    if (ageMs() >= freshMs) {
      await refresh().catch((error: unknown) => {
        if (ageMs() >= STALE_MS) throw error;
        degraded = true;
      });
    }
    const { menu } = kept!;
    return { menu: degraded ? { ...menu, degraded } : menu, ageSeconds: Math.floor(ageMs() / 1_000) };
  };
}
