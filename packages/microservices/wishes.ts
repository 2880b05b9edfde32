/** What the customers of the flow want (flow.ts): most of them a meal, and now and then what cannot be had. */
import type { Item, State } from './protocol.ts';

/** What an order is, and how it ends when nothing goes wrong. */
export const ORDERS = {
  meal: { items: [{ dish: 'burger', quantity: 1 }], ends: 'delivered' },
  /** On the menu, and the kitchen has none: it was paid by then, and the money goes back. */
  soldOut: { items: [{ dish: 'truffle', quantity: 1 }], ends: 'cancelled' },
  /** More than 500.00: declined. */
  tooMuch: {
    items: [
      { dish: 'ramen', quantity: 20 },
      { dish: 'pizza', quantity: 20 },
      { dish: 'burger', quantity: 20 },
    ],
    ends: 'rejected',
  },
} as const satisfies Record<string, { items: readonly Item[]; ends: State }>;

/** Every eleventh wants what is sold out, every thirteenth too much. */
export const wishOf = (n: number) => (n % 11 === 0 ? ORDERS.soldOut : n % 13 === 0 ? ORDERS.tooMuch : ORDERS.meal);
