/**
 * What goes through the queue from payment to notification: a job `notify`, whose id says what it is about
 * (`<order>:succeeded`), so that it is told once however often it is delivered.
 */
import { demand, fieldsOf, isAmount, isText } from './reading.ts';

export const NOTIFY = 'notify';
/** The queue's name. */
export const NOTIFICATIONS_QUEUE = 'notifications';

export interface Notification {
  readonly order: string;
  readonly customer: string;
  /** What happened to the money. */
  readonly what: 'succeeded' | 'refunded';
  /** In cents. */
  readonly amount: number;
}

/** @throws {HttpProblem} 400 */
export function readNotification(data: unknown): Notification {
  const { order, customer, what, amount } = fieldsOf(data, '');
  demand('/order', isText(order, 50), 'the id of an order');
  demand('/customer', isText(customer, 100), 'the id of a customer');
  demand('/what', what === 'succeeded' || what === 'refunded', 'succeeded or refunded');
  demand('/amount', isAmount(amount), 'an integer, in cents');
  return { order, customer, what, amount } as Notification;
}
