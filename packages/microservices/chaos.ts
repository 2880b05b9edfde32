/**
 * `pnpm chaos microservices`: some hundred orders, while services, their connections to Redis and their PostgreSQL backends are killed
 * at random moments. Then the books of all services are laid side by side (audit.ts).
 *
 * Who gets no answer asks again with the same key, so there are as many orders as there were wishes: no more, and no fewer.
 */
import { type ChaosOptions, type ChaosResult, randomFrom, randomKills } from '@patterns/kit/testing/chaos';
import { until } from '@patterns/kit/testing/until';
import { auditWhenOver } from './audit.ts';
import { type ChaosTown, openChaosTown } from './chaos-town.ts';
import { startFlow } from './flow.ts';
import { FINAL_STATES } from './protocol.ts';

/** An order is a dozen messages between nine processes: a hundredth of what a queue is given is plenty. */
export const defaults = { items: 400 } as const;

/** Of two cores there is enough left to start again whoever was killed. */
const PER_SECOND = 8;

export async function run(options: ChaosOptions): Promise<ChaosResult> {
  await using town = await openChaosTown(options);
  return await shake(town, options);
}

/** One run, in a town that may have seen others: its books count all orders, and those before must stay as they are. */
export async function shake(
  town: ChaosTown,
  { seed, kills, items, deadlineMs, say, signal }: Omit<ChaosOptions, 'env' | 'flags'>,
): Promise<ChaosResult> {
  const late = AbortSignal.timeout(deadlineMs);
  const ending = AbortSignal.any([signal, late]);
  const forever = { withinMs: 2 ** 30, signal: ending };
  const random = randomFrom(seed);
  const wrong: string[] = [];
  let killed: Record<string, number> = {};

  // #region chaos
  await using flow = await startFlow(town.url, { perSecond: PER_SECOND, patienceMs: deadlineMs, signal: ending });
  const progress = async () => flow.answered.length / items;
  try {
    [killed] = await Promise.all([
      randomKills({ random, kills, victims: town.victims(random), progress, say, signal: ending }),
      until('all have ordered', () => flow.answered.length >= items, forever).then(() => flow.stop()),
    ]);
    say(`${flow.answered.length} have ordered, and what was begun is finished`);
    await town.settled(ending); // whatever was sent twice is to have its chance to be told twice
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    wrong.push(`it was not over within ${deadlineMs / 1_000} s: ${flow.answered.length} of ${items} had ordered`);
  }
  // #endregion

  // #region count
  const answered = flow.answered.map(({ order }) => order.id);
  for (const id of answered) town.ordered.add(id);
  const { orders, states, told, faults } = await auditWhenOver(town.books, town.ordered, { withinMs: 5_000, signal });
  wrong.push(...faults);
  for (const { what, error } of flow.failed) wrong.push(`a ${what} failed: ${error.message}`);
  const distinct = new Set(answered).size;
  if (distinct < answered.length) wrong.push(`${answered.length - distinct} wishes were answered with another's order`);
  if (orders > town.ordered.size)
    wrong.push(`${orders - town.ordered.size} orders that nobody was told of: a key made two`);
  const dead = await town.dead();
  if (dead > 0) wrong.push(`${dead} jobs were given up`);
  // #endregion
  const counted = {
    orders,
    ...Object.fromEntries(FINAL_STATES.map((state) => [state, states[state] ?? 0])),
    told,
    'asked again': flow.repeated,
  };
  return { counted: { ...counted, ...prefixed('killed: ', killed) }, wrong };
}

function prefixed(prefix: string, counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [prefix + name, count]));
}
