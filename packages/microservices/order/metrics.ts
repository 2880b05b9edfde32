/**
 * How many orders are on their way, and for how long the oldest has stood still: a saga that waits for somebody who never answers
 * makes no error that anybody would see.
 */
import { Gauge, type Registry } from 'prom-client';
import type { Database } from '../chassis/database.ts';
import { FINAL_STATES } from '../protocol.ts';

const GAUGES = [
  { name: 'orders_open', help: 'Orders in no final state', value: 'count(*)' },
  {
    name: 'orders_oldest_seconds',
    help: 'Time in its state, of the oldest',
    value: 'max(extract(epoch from now() - changed_at))',
  },
];

/** Adds the gauges, by state; they are counted when somebody asks for them. */
export function countOrders(registry: Registry, database: Database): void {
  for (const { name, help, value } of GAUGES) {
    new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers: [registry],
      async collect() {
        this.reset();
        const { rows } = await database.query<{ state: string; value: number }>(
          `select state, (${value})::float as value from food.orders where state <> all($1) group by state`,
          [FINAL_STATES],
        );
        for (const { state, value } of rows) this.set({ state }, value);
      },
    });
  }
}
