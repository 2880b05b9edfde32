/**
 * Finds the place in the code that keeps a client too long: a transaction that waits for a mail server, a promise that never
 * settles. Such a client is missing from the pool, and the symptom (503) shows everywhere except where the fault is.
 *
 * `withClient` always gives back what it took, so what is left to find is work that does not end. It is reported, not cut
 * off: the timeouts of the session do that, where it is safe.
 */

export interface Checkout {
  readonly heldMs: number;
  /** The stack of the caller, innermost first: `at server.ts:61:20`. */
  readonly takenAt: readonly string[];
}

/**
 * Calls `onLong` once if the client is out for `longMs`.
 * @param takenAt an Error made where the client was taken. Making one costs a microsecond or two; its text is only put
 * together when it is read, here.
 * @returns what to call when the client is back.
 */
export function watchCheckout(takenAt: Error, longMs: number, onLong: (checkout: Checkout) => void): () => void {
  const timer = setTimeout(() => onLong({ heldMs: longMs, takenAt: framesOf(takenAt) }), longMs);
  return () => clearTimeout(timer);
}

/** Without the files that lend and those of Node and the libraries. */
function framesOf({ stack = '' }: Error): string[] {
  const frames = stack.split('\n').slice(1);
  return frames
    .map((frame) => frame.trim())
    .filter((frame) => !/node_modules|node:|\/(database|transaction)\.ts/.test(frame));
}
