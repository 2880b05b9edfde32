/**
 * `pnpm chaos queues`: thousands of payments, while workers, fronts with the relays in them, connections to the broker and
 * PostgreSQL backends are killed at random moments. Then it is counted in the database what the customers were told: about each
 * payment once.
 *
 * Whoever pays and gets no answer pays again, so there may be more payments than were asked for; each of those that are in the
 * table is to be told of, and each that was answered with 201 is to be there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type ChaosOptions, type ChaosResult, randomFrom, randomKills } from '@patterns/kit/testing/chaos';
import { BROKERS } from './brokers.ts';
import { openCrew } from './chaos-crew.ts';
import { ClientError, pay } from './client.ts';

export const flags = { broker: { type: 'string', about: `one of ${BROKERS.join(', ')}; redis unless given` } } as const;

/** Payments under way at the same time. */
const AT_ONCE = 32;

export async function run(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, kills, items, deadlineMs, say, signal } = options;
  await using stack = new AsyncDisposableStack();
  const broker = String(options.flags.broker ?? 'redis');
  const random = randomFrom(seed);
  const crew = await openCrew({ broker, env: options.env, stack, say, signal });
  const late = AbortSignal.timeout(deadlineMs);
  const ending = AbortSignal.any([signal, late]);
  const wrong: string[] = [];
  const paid = new Set<string>();
  let killed: Record<string, number> = {};

  // #region chaos
  const progress = async () => (await crew.told()) / items;
  try {
    [killed] = await Promise.all([
      randomKills({ random, kills, victims: crew.victims, progress, say, signal: ending }),
      ...Array.from({ length: AT_ONCE }, async (_, first) => {
        for (let n = first; n < items; n += AT_ONCE) paid.add(await payOnce(crew.front, n, ending));
      }),
    ]);
    say('all are paid, and what is still under way is waited for');
    await crew.settled(ending); // whatever was sent twice is to have its chance to be told twice
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    wrong.push(`it was not over within ${deadlineMs / 1_000} s: ${paid.size} of ${items} had paid`);
  }
  // #endregion
  const repeated = await crew.stop();

  // #region count
  const payments = new Map(await crew.count());
  const missing = [...paid].filter((id) => !payments.has(id)).length;
  const untold = [...payments.values()].filter((messages) => messages === 0).length;
  const doubled = [...payments.values()].filter((messages) => messages > 1).length;
  const dead = await crew.dead();
  if (missing > 0) wrong.push(`${missing} payments were answered with 201, and are not there`);
  if (untold > 0 && !late.aborted) wrong.push(`${untold} customers were not told of their payments`);
  if (doubled > 0) wrong.push(`${doubled} customers were told more than once`);
  if (dead > 0) wrong.push(`${dead} jobs were given up`);
  // #endregion
  const counted = {
    payments: payments.size,
    'told once': payments.size - untold - doubled,
    'not told': untold,
    'told twice': doubled,
    'jobs done again': repeated,
  };
  return { counted: { ...counted, ...prefixed('killed: ', killed) }, wrong };
}

/** Pays at any front, again and again until one has answered. @returns the payment that was answered. */
async function payOnce(front: () => Promise<string>, n: number, signal: AbortSignal): Promise<string> {
  for (;;) {
    try {
      const payment = { phone: `+4930${100_000 + (n % 1_000)}`, amount: 1_250 };
      return (await pay(await front(), payment, { signal })).id;
    } catch (error) {
      if (signal.aborted || (error instanceof ClientError && error.message.startsWith('4'))) throw error;
      await pause(20, undefined, { signal }); // it was killed, or its database was
    }
  }
}

function prefixed(prefix: string, counts: Record<string, number>): Record<string, number> {
  return Object.fromEntries(Object.entries(counts).map(([name, count]) => [prefix + name, count]));
}
