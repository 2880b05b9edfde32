/**
 * What crosses the wire between a customer and the gateway: the only address that a customer knows.
 *
 *     POST /signup, /login, /token      who you are: an access token comes back, and goes with what follows
 *     GET  /menu                        what there is
 *     POST /orders                      with an Idempotency-Key: asked twice, ordered once
 *     GET  /orders/:id                  how it stands
 *     GET  /orders/:id/events           Server-Sent Events: how it comes along, until it is in its final state
 *
 * What the services say to each other is in `contracts/`, one file for each that is asked.
 */
import { demand, fieldsOf, isAmount, isText } from './contracts/reading.ts';

export const SIGNUP_PATH = '/signup';
export const LOGIN_PATH = '/login';
export const TOKEN_PATH = '/token';
export const MENU_PATH = '/menu';
export const ORDERS_PATH = '/orders';

/** For whom the access tokens are made. */
export const AUDIENCE = 'https://food.example';

export const LIMITS = { bodyBytes: 16 * 1024, items: 20, quantity: 20, addressLength: 200, keyLength: 128 } as const;

export interface Dish {
  readonly id: string;
  readonly name: string;
  /** In cents. */
  readonly price: number;
}

export interface Menu {
  readonly items: readonly Dish[];
  /** By the gateway: the order service is away, and this is the last menu that it had. */
  readonly degraded?: true;
}

export interface Item {
  /** The id of a dish. */
  readonly dish: string;
  readonly quantity: number;
}

export interface OrderRequest {
  readonly items: readonly Item[];
  readonly address: string;
}

// #region states
/**
 * How an order may stand. It only ever moves forward, and ends in one of the last three.
 *
 *     placed ──► awaiting-payment ──► paid ──► cooking ──► on-the-way ──► delivered
 *                       │               │
 *                       ▼               ▼
 *                   rejected        cancelling ──► cancelled         the money has gone back
 */
export const STATES = [
  'placed',
  'awaiting-payment', // nobody knows yet whether it is paid: the payment service does not answer in time
  'paid',
  'cooking',
  'on-the-way',
  'cancelling', // what was done is being undone
  'delivered',
  'rejected', // not paid: there is nothing to undo
  'cancelled',
] as const;
export type State = (typeof STATES)[number];

export const FINAL_STATES: readonly State[] = ['delivered', 'rejected', 'cancelled'];
// #endregion

export interface OrderView {
  readonly id: string;
  readonly state: State;
  readonly items: readonly Item[];
  readonly address: string;
  /** In cents, by the menu's prices when it was placed. */
  readonly total: number;
  readonly placedAt: string;
  /** Why it was rejected or cancelled, or what is being waited for. */
  readonly reason?: string;
  /** Where to follow it: a path of the gateway with a ticket for this one order, since a browser's EventSource sends no token. */
  readonly events?: string;
}

/** What one event of `/orders/:id/events` says. */
export type Progress =
  | { readonly type: 'state'; readonly order: string; readonly state: State; readonly reason?: string }
  | { readonly type: 'courier'; readonly order: string /** Metres to go. */; readonly metres: number };

/** Understands the menu. @throws {HttpProblem} 400 */
export function readMenu(body: unknown): Menu {
  const { items, degraded } = fieldsOf(body, '');
  demand('/items', Array.isArray(items), 'an array of dishes');
  const dishes = (items as unknown[]).map((item, i) => {
    const { id, name, price } = fieldsOf(item, `/items/${i}`);
    demand(`/items/${i}/id`, isText(id, 50), 'the id of a dish');
    demand(`/items/${i}/name`, isText(name, 100), 'the name of a dish');
    demand(`/items/${i}/price`, isAmount(price), 'an integer, in cents');
    return { id, name, price } as Dish;
  });
  return { items: dishes, ...(degraded === true ? { degraded } : {}) };
}

/** Understands the body of `POST /orders`. @throws {HttpProblem} 400 */
export function readOrderRequest(body: unknown): OrderRequest {
  const { items, address } = fieldsOf(body, '');
  demand('/items', Array.isArray(items) && items.length >= 1 && items.length <= LIMITS.items, '1 to 20 items');
  demand('/address', isText(address, LIMITS.addressLength), 'a text of 1 to 200 characters');
  return {
    address: address as string,
    items: (items as unknown[]).map((item, i) => {
      const { dish, quantity } = fieldsOf(item, `/items/${i}`);
      demand(`/items/${i}/dish`, isText(dish, 50), 'the id of a dish');
      const isQuantity = Number.isSafeInteger(quantity) && (quantity as number) >= 1;
      demand(`/items/${i}/quantity`, isQuantity && (quantity as number) <= LIMITS.quantity, 'an integer from 1 to 20');
      return { dish: dish as string, quantity: quantity as number };
    }),
  };
}

/** Understands an order as the gateway and the order service show it. Fields that it does not know are no error. @throws {HttpProblem} 400 */
export function readOrderView(body: unknown): OrderView {
  const { id, state, items, address, total, placedAt, reason, events } = fieldsOf(body, '');
  demand('/id', isText(id, 50), 'the id of an order');
  demand('/state', STATES.includes(state as State), `one of ${STATES.join(', ')}`);
  demand('/total', Number.isSafeInteger(total), 'an integer, in cents');
  demand('/placedAt', isText(placedAt, 50), 'a date');
  return {
    ...readOrderRequest({ items, address }),
    id: id as string,
    state: state as State,
    total: total as number,
    placedAt: placedAt as string,
    ...(isText(reason, 500) ? { reason } : {}),
    ...(isText(events, 2_000) ? { events } : {}),
  };
}

/** Understands one event of an order's stream. Undefined: of a type that this version does not know, which is no error. */
export function readProgress(value: unknown): Progress | undefined {
  const { type, order, state, reason, metres } = fieldsOf(value, '');
  demand('/order', isText(order, 50), 'the id of an order');
  if (type === 'courier') {
    demand('/metres', Number.isFinite(metres), 'a number of metres');
    return { type, order: order as string, metres: metres as number };
  }
  if (type !== 'state') return undefined;
  demand('/state', STATES.includes(state as State), `one of ${STATES.join(', ')}`);
  return { type, order: order as string, state: state as State, ...(isText(reason, 500) ? { reason } : {}) };
}
