/**
 * Many things at a time, but not all. `Promise.all(items.map(work))` begins everything at once: a thousand items are a thousand
 * requests, and whoever has to answer them refuses most. It also throws away what was achieved as soon as one fails.
 */

/** Does `work` for every item, `limit` at a time, and says of each how it ended, in the order of the items. */
export async function settleAll<T, R>(
  items: readonly T[],
  limit: number,
  work: (item: T) => Promise<R>,
): Promise<PromiseSettledResult<R>[]> {
  const results: PromiseSettledResult<R>[] = [];
  const rest = items.entries(); // shared: whoever is free takes the next
  const takeTurns = async () => {
    for (const [i, item] of rest) [results[i]] = (await Promise.allSettled([work(item)])) as [PromiseSettledResult<R>];
  };
  await Promise.all(Array.from({ length: limit }, takeTurns));
  return results;
}
