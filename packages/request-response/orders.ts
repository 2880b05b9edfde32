/**
 * Placing an order and looking it up.
 */
import { HttpProblem } from '@patterns/kit/problem';
import type { PoolClient } from 'pg';
import type { Dish, Order, PlacedOrder } from './protocol.ts';

/**
 * Writes an order, in the caller's transaction.
 * @param kitchenMs how long the kitchen takes, on top. PostgreSQL sleeps that long: a slow statement, and a real one.
 * @throws {HttpProblem} 400 for a dish that is not on the menu.
 */
export async function placeOrder(client: PoolClient, order: Order, kitchenMs: number): Promise<PlacedOrder> {
  const { rows: dishes } = await client.query<Dish>('select id, price from restaurant.dishes where id = any($1)', [
    order.items.map(({ dish }) => dish),
  ]);
  const prices = new Map(dishes.map(({ id, price }) => [id, price]));
  const errors = order.items.flatMap(({ dish }, i) =>
    prices.has(dish) ? [] : [{ field: `/items/${i}/dish`, expected: 'the id of a dish on the menu' }],
  );
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'not on the menu', errors });

  // The price is the menu's at this moment, never the client's.
  const total = order.items.reduce((sum, { dish, quantity }) => sum + prices.get(dish)! * quantity, 0);
  const inserted = await client.query<{ id: string; placedAt: Date }>(
    `insert into restaurant.orders (table_number, items, total) values ($1, $2, $3) returning id, placed_at as "placedAt"`,
    [order.table, JSON.stringify(order.items), total],
  );
  if (kitchenMs > 0) await client.query('select pg_sleep($1)', [kitchenMs / 1000]);
  const { id, placedAt } = inserted.rows[0]!;
  return { id, ...order, total, placedAt: placedAt.toISOString() };
}

/** @throws {HttpProblem} 404 when there is no such order. */
export async function findOrder(client: PoolClient, id: string): Promise<PlacedOrder> {
  // What is not a UUID is not there either; PostgreSQL would call it an error.
  const { rows } = UUID.test(id)
    ? await client.query<PlacedOrder>(
        'select id, table_number as "table", items, total, placed_at as "placedAt" from restaurant.orders where id = $1',
        [id],
      )
    : { rows: [] };
  if (!rows[0]) throw new HttpProblem(404, { detail: 'there is no such order' });
  return rows[0];
}

const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;
