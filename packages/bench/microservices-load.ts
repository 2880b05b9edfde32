/**
 * The customers of the microservices benchmark: so many, each of whom orders again as soon as there is an answer; or one every so
 * often, whatever became of those before. Each order has a key of its own.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Pool } from 'undici';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

export interface Load {
  url: string;
  headers: Record<string, string>;
  body: string;
  by: { customers: number; durationMs: number } | { everyMs: number; orders: number };
}

async function run({ url, headers, body, by }: Load) {
  await using pool = disposable(new Pool(url, { connections: 'customers' in by ? by.customers : by.orders }));
  const tookMs: number[] = [];
  let isPaid = 0;
  const order = async () => {
    const startedAt = performance.now();
    const response = await pool.request({
      method: 'POST',
      path: '/orders',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': `"${randomUUID()}"`, ...headers },
      body,
    });
    const text = await response.body.text();
    if (response.statusCode >= 300) throw new Error(`${url} answered ${response.statusCode}: ${text.slice(0, 200)}`);
    tookMs.push(performance.now() - startedAt);
    if (/"(?:state|status)":"paid"/.test(text)) isPaid++;
  };
  const startedAt = performance.now();
  if ('customers' in by) {
    await Promise.all(
      Array.from({ length: by.customers }, async () => {
        do await order();
        while (performance.now() < startedAt + by.durationMs);
      }),
    );
  } else {
    const begun: Promise<void>[] = [];
    for (let n = 0; n < by.orders; n++) {
      await delay(Math.max(0, startedAt + n * by.everyMs - performance.now()));
      begun.push(order());
    }
    await Promise.all(begun);
  }
  return {
    orders: tookMs.length,
    paid: isPaid,
    p50Ms: percentile(tookMs, 0.5),
    p99Ms: percentile(tookMs, 0.99),
    tookMs: performance.now() - startedAt,
  };
}

const disposable = (pool: Pool) => Object.assign(pool, { [Symbol.asyncDispose]: () => pool.destroy() });

const handlers = { run };
export type OrdersLoad = typeof handlers;
answer(handlers);
