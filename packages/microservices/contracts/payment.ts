/**
 * What the payment service is asked, by the order service alone:
 *
 *     POST /charges                  { order, customer, amount }     one charge for an order, however often it is asked
 *     GET  /charges/:order
 *     POST /charges/:order/refund    { order, customer, amount }     undoes it; of an order that was never charged, it makes sure
 *                                                                    that it never will be
 *
 * An answer is a charge as it is now: 200 when it is settled, 202 when it is `pending` or `refunding`, and then: ask again, with the
 * same order. 404: no such charge. 422: the same order with another amount or customer.
 */
import { demand, fieldsOf, isAmount, isText } from './reading.ts';

export const CHARGES_PATH = '/charges';
export const refundPath = (order: string): string => `${CHARGES_PATH}/${encodeURIComponent(order)}/refund`;

export interface ChargeRequest {
  readonly order: string;
  readonly customer: string;
  /** In cents. */
  readonly amount: number;
}

export const CHARGE_STATUSES = [
  'pending', // the provider was asked, and nobody knows what it did
  'succeeded',
  'declined',
  'refunding', // as `pending`, of the refund
  'refunded',
  'void', // refunded before it was charged: it never will be
] as const;
export type ChargeStatus = (typeof CHARGE_STATUSES)[number];

export interface Charge extends ChargeRequest {
  readonly status: ChargeStatus;
  /** Why it was declined. */
  readonly reason?: string;
}

/** @throws {HttpProblem} 400 */
export function readChargeRequest(body: unknown): ChargeRequest {
  const { order, customer, amount } = fieldsOf(body, '');
  demand('/order', isText(order, 50), 'the id of an order');
  demand('/customer', isText(customer, 100), 'the id of a customer');
  demand('/amount', isAmount(amount) && amount > 0, 'an integer from 1, in cents');
  return { order: order as string, customer: customer as string, amount: amount as number };
}

/** @throws {HttpProblem} 400 */
export function readCharge(body: unknown): Charge {
  const { status, reason } = fieldsOf(body, '');
  demand('/status', CHARGE_STATUSES.includes(status as ChargeStatus), `one of ${CHARGE_STATUSES.join(', ')}`);
  return {
    ...readChargeRequest(body),
    status: status as ChargeStatus,
    ...(isText(reason, 500) ? { reason } : {}),
  };
}
