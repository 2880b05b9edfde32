/**
 * `pnpm chaos webhooks`: thousands of payments, while dispatchers, the shop, and PostgreSQL backends of both are killed at random
 * moments. Then it is counted in the shop's database what was booked: each of the provider's events once.
 *
 * Who pays and gets no answer pays again, so there may be more payments than were asked for. What counts is what the provider
 * has written down. The shop's reconciliation does not run meanwhile: it is the webhooks that are tried.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type ChaosOptions, type ChaosResult, randomFrom, randomKills } from '@patterns/kit/testing/chaos';
import { until } from '@patterns/kit/testing/until';
import { openCrew } from './chaos-crew.ts';
import { createPayment } from './payments.ts';

/** Customers that pay at the same time. */
const CUSTOMERS = 8;
/** Payments that may be under way, and how often is looked whether there are more. */
const AHEAD = 400;
const LOOK_EVERY = 5 * CUSTOMERS;
/** The work is to last some seconds, however little there is: a kill that comes when all is done hits nothing. */
const AT_LEAST_MS = 2_000;

export async function run({ seed, kills, items, env, deadlineMs, say, signal }: ChaosOptions): Promise<ChaosResult> {
  await using stack = new AsyncDisposableStack();
  const late = AbortSignal.timeout(deadlineMs);
  const ending = AbortSignal.any([signal, late]);
  const forever = { withinMs: 2 ** 30, signal: ending };
  const wrong: string[] = [];
  let killed: Record<string, number> = {};
  const crew = await openCrew(env, stack);

  // #region chaos
  const payOnce = async (n: number) => {
    // The customers go no faster than the shop: so a kill meets all of it at work, from the first payment to the last effect.
    while (n % LOOK_EVERY < CUSTOMERS && n - (await crew.effects().catch(() => 0)) > AHEAD)
      await pause(50, undefined, { signal: ending });
    while (!(await createPayment(crew.payments, { amount: 4_200 }).catch(() => undefined))) {
      await pause(20, undefined, { signal: ending }); // a backend was killed: nobody knows whether it had committed
    }
    await pause((AT_LEAST_MS * CUSTOMERS) / items, undefined, { signal: ending });
  };
  const progress = async () => (await crew.effects()) / items;
  try {
    await until('the shop has registered', crew.isRegistered, forever);
    [killed] = await Promise.all([
      randomKills({ random: randomFrom(seed), kills, victims: crew.victims, progress, say, signal: ending }),
      ...Array.from({ length: CUSTOMERS }, async (_, customer) => {
        for (let n = customer; n < items; n += CUSTOMERS) await payOnce(n);
      }),
    ]);
    await until('nothing is under way any more', crew.isQuiet, forever); // what was sent twice may be booked twice now
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error;
    wrong.push(`it was not over within ${deadlineMs / 1_000} s`);
  }
  // #endregion

  // #region count
  const [events, booked, dead, attempts] = await Promise.all([
    crew.events(),
    crew.booked(),
    crew.dead(),
    crew.attempts(),
  ]);
  const lost = events.filter((id) => !booked.has(id)).length;
  const doubled = [...booked.values()].filter((times) => times > 1).length;
  const invented = booked.size - (events.length - lost);
  if (events.length < items) wrong.push(`${items - events.length} payments were never taken`);
  if (lost > 0) wrong.push(`${lost} events were not booked`);
  if (doubled > 0) wrong.push(`${doubled} events were booked more than once`);
  if (invented > 0) wrong.push(`${invented} events were booked that the provider knows nothing of`);
  if (dead > 0) wrong.push(`${dead} deliveries were given up`);
  // #endregion
  const kinds = Object.entries(killed).map(([name, times]) => [`killed: ${name}`, times] as const);
  const counted = {
    events: events.length,
    'booked once': events.length - lost - doubled,
    'not booked': lost,
    'booked twice': doubled,
    'webhooks sent again': attempts - events.length,
  };
  return { counted: { ...counted, ...Object.fromEntries(kinds) }, wrong };
}
