/**
 * What is published, for whoever listens: three channels, each with one publisher. A message may come twice, and so it says what
 * is, and never what to add: who has seen it once does nothing the second time.
 */
import type { Item, State } from '../protocol.ts';
import { STATES } from '../protocol.ts';
import { demand, fieldsOf, isText } from './reading.ts';

/** By the order service: an order stands so now. The kitchen cooks what is `paid`. */
export const ORDERS_CHANNEL = 'orders';
/** By the kitchen. */
export const KITCHEN_CHANNEL = 'kitchen';
/** By the couriers' dispatch, in the tracking service. */
export const DELIVERIES_CHANNEL = 'deliveries';

export interface OrderEvent {
  readonly order: string;
  readonly state: State;
  /** Counts the changes of this order from 1: unlike a time it has no ties. */
  readonly version: number;
  readonly items: readonly Item[];
  readonly reason?: string;
}

export const KITCHEN_WORDS = ['accepted', 'refused', 'cooked'] as const;
export interface KitchenEvent {
  readonly order: string;
  readonly type: (typeof KITCHEN_WORDS)[number];
  /** Why it was refused. */
  readonly reason?: string;
}

export const DELIVERY_WORDS = ['picked-up', 'delivered'] as const;
export interface DeliveryEvent {
  readonly order: string;
  readonly type: (typeof DELIVERY_WORDS)[number];
}

/** @throws {HttpProblem} 400 */
export function readOrderEvent(data: unknown): OrderEvent {
  const { order, state, version, items, reason } = fieldsOf(data, '');
  demand('/order', isText(order, 50), 'the id of an order');
  demand('/state', STATES.includes(state as State), `one of ${STATES.join(', ')}`);
  demand('/version', Number.isSafeInteger(version) && (version as number) >= 1, 'an integer from 1');
  demand('/items', Array.isArray(items), 'an array');
  return {
    order: order as string,
    state: state as State,
    version: version as number,
    items: items as Item[],
    ...(isText(reason, 500) ? { reason } : {}),
  };
}

/** @throws {HttpProblem} 400 */
export function readKitchenEvent(data: unknown): KitchenEvent {
  const { reason } = fieldsOf(data, '');
  return { ...readWord(data, KITCHEN_WORDS), ...(isText(reason, 500) ? { reason } : {}) };
}

/** @throws {HttpProblem} 400 */
export function readDeliveryEvent(data: unknown): DeliveryEvent {
  return readWord(data, DELIVERY_WORDS);
}

function readWord<Word extends string>(data: unknown, words: readonly Word[]): { order: string; type: Word } {
  const { order, type } = fieldsOf(data, '');
  demand('/order', isText(order, 50), 'the id of an order');
  demand('/type', words.includes(type as Word), `one of ${words.join(', ')}`);
  return { order: order as string, type: type as Word };
}
