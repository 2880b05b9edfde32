/**
 * The rows of the orders: placed, found, and moved on. Whatever changes one writes the message about it in the same transaction.
 */
import { randomUUID } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';
import type { PoolClient } from 'pg';
import type { Database } from '../chassis/database.ts';
import { writeOutbox } from '../chassis/outbox.ts';
import { ORDERS_CHANNEL, type OrderEvent } from '../contracts/events.ts';
import type { Dish, Item, OrderRequest, OrderView, State } from '../protocol.ts';

export interface Order {
  readonly id: string;
  readonly customer: string;
  readonly items: readonly Item[];
  readonly address: string;
  /** In cents. */
  readonly total: number;
  readonly state: State;
  readonly version: number;
  readonly reason: string | null;
  readonly placedAt: Date;
  /** How long it has been in this state, by the database's clock. */
  readonly waitedMs: number;
  /** Attempts in this state. */
  readonly attempts: number;
  readonly traceparent: string;
}

const COLUMNS = `id, customer, items, address, total, state, version, reason, placed_at as "placedAt", attempts, traceparent,
  (extract(epoch from now() - changed_at) * 1000)::float as "waitedMs"`;

export interface Placing {
  readonly customer: string;
  readonly request: OrderRequest;
  /** For so long the saga is ours: whoever places an order takes its first step as well. */
  readonly leaseMs: number;
  readonly traceparent: string;
}

/** Writes a new order, in the caller's transaction. @throws {HttpProblem} 400 for a dish that is not on the menu. */
export async function insertOrder(client: PoolClient, { customer, request, ...rest }: Placing): Promise<Order> {
  const { items, address } = request;
  const { rows: dishes } = await client.query<Dish>('select id, price from restaurant.dishes where id = any($1)', [
    items.map(({ dish }) => dish),
  ]);
  const prices = new Map(dishes.map(({ id, price }) => [id, price]));
  const errors = items.flatMap(({ dish }, i) =>
    prices.has(dish) ? [] : [{ field: `/items/${i}/dish`, expected: 'the id of a dish on the menu' }],
  );
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'not on the menu', errors });
  // The prices are the menu's at this moment, never the customer's.
  const total = items.reduce((sum, { dish, quantity }) => sum + prices.get(dish)! * quantity, 0);
  const { rows } = await client.query<Order>(
    `insert into food.orders (id, customer, items, address, total, state, due_at, traceparent)
     values ($1, $2, $3, $4, $5, 'placed', now() + $6 * interval '1 ms', $7) returning ${COLUMNS}`,
    [randomUUID(), customer, JSON.stringify(items), address, total, rest.leaseMs, rest.traceparent],
  );
  const order = rows[0]!;
  await announce(client, order);
  return order;
}

export interface Change {
  readonly to: State;
  readonly reason?: string | undefined;
  /** When the saga looks at it next; undefined: when somebody says something. */
  readonly dueInMs?: number | undefined;
  readonly traceparent?: string | undefined;
}

// #region change-state
/**
 * Moves an order on, and writes the message that says so, in the caller's transaction.
 * @returns undefined when it is no longer as `order` says: somebody else has moved it, and nothing is changed.
 */
export async function changeState(client: PoolClient, order: Order, change: Change): Promise<Order | undefined> {
  const { to, reason, dueInMs, traceparent } = change;
  const { rows } = await client.query<Order>(
    `update food.orders set state = $3, version = version + 1, attempts = 0, changed_at = now(), traceparent = $6,
       reason = case state when 'cancelling' then reason else $4 end, -- a cancelled order says why to the end
       due_at = now() + $5 * interval '1 ms'
     where id = $1 and version = $2 returning ${COLUMNS}`,
    [order.id, order.version, to, reason ?? null, dueInMs ?? null, traceparent ?? order.traceparent],
  );
  if (rows[0]) await announce(client, rows[0]);
  return rows[0];
}
// #endregion

async function announce(client: PoolClient, { id, state, version, items, reason, traceparent }: Order): Promise<void> {
  const event: OrderEvent = { order: id, state, version, items, ...(reason === null ? {} : { reason }) };
  await writeOutbox(client, [{ channel: ORDERS_CHANNEL, id: `${id}:${version}`, data: event, traceparent }]);
}

// #region claim
/**
 * Takes orders whose saga is due, so that nobody else does for `leaseMs`: they are due again after that, should we be gone by then.
 * Rows that another instance is taking at this moment are passed over.
 */
export async function claimDue(database: Database, limit: number, leaseMs: number): Promise<Order[]> {
  const { rows } = await database.query<Order>(
    `with taken as (
       select id as due from food.orders where due_at <= now() order by due_at limit $1 for update skip locked
     )
     update food.orders set due_at = now() + $2 * interval '1 ms' from taken where id = due returning ${COLUMNS}`,
    [limit, leaseMs],
  );
  return rows;
}
// #endregion

/** The step led nowhere: the saga looks again in `waitMs`. */
export async function postpone(database: Database, { id, version }: Order, waitMs: number): Promise<void> {
  await database.query(
    `update food.orders set due_at = now() + $3 * interval '1 ms', attempts = attempts + 1 where id = $1 and version = $2`,
    [id, version, waitMs],
  );
}

/** What is not a UUID is not there either; PostgreSQL would call it an error. */
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i;

/** Finds an order; with `lock` nobody changes it until the caller's transaction ends. */
export async function findOrder(
  database: Pick<Database, 'query'>,
  id: string,
  { lock = false } = {},
): Promise<Order | undefined> {
  if (!UUID.test(id)) return undefined;
  const { rows } = await database.query<Order>(
    `select ${COLUMNS} from food.orders where id = $1 ${lock ? 'for update' : ''}`,
    [id],
  );
  return rows[0];
}

export function viewOf({ id, state, items, address, total, placedAt, reason }: Order): OrderView {
  return { id, state, items, address, total, placedAt: placedAt.toISOString(), ...(reason === null ? {} : { reason }) };
}
