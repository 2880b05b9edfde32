/** The other half of the queues benchmark: payments that are done before the answer, or after it, under three loads. */
import { type Child, startChild } from './processes.ts';
import type { Customers } from './queues-customers.ts';
import { CAPACITY } from './queues-limits.ts';
import type { Payments } from './queues-payments.ts';
import { percentile } from './results.ts';

/** Payments that come, as a multiple of those that can be done. */
export const LOADS = [0.5, 1, 3] as const;
export type Way = 'direct' | 'queued';

export interface Market {
  payments: Record<Way, Child<Payments>>;
  customers: Child<Customers>;
}

/** The processes for all loads. `stack` ends them. */
export function openMarket(stack: AsyncDisposableStack, redisUrl: string): Market {
  const file = (name: string) => new URL(name, import.meta.url);
  const payments = (way: Way) => stack.use(startChild<Payments>(file('queues-payments.ts'), { args: [way, redisUrl] }));
  const customers = stack.use(startChild<Customers>(file('queues-customers.ts')));
  return { payments: { direct: payments('direct'), queued: payments('queued') }, customers };
}

/** Customers who do not wait for each other, until they have all been served. */
export async function measurePayments(way: Way, load: number, { payments, customers }: Market, durationMs: number) {
  const [shop, url] = [payments[way], await payments[way].ask('url', undefined)];
  const { asked, acceptedMs } = await customers.ask('come', { url, rate: CAPACITY * load, durationMs });
  const completedMs = await shop.ask('completed', { payments: acceptedMs.length });
  return {
    answerP50Ms: percentile(acceptedMs, 0.5),
    answerP99Ms: percentile(acceptedMs, 0.99),
    doneP50Ms: percentile(completedMs, 0.5),
    doneP99Ms: percentile(completedMs, 0.99),
    refusedPercent: (1 - acceptedMs.length / asked) * 100,
  };
}
