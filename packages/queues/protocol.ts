/**
 * What crosses the wire. Each request is answered at once, and the work comes later.
 *
 *     POST /payments                    201 the payment and its Location: it is taken, and the message to the customer is on its way
 *     GET  /payments/:id                200 the payment; `notified` is null until the customer was told
 *     POST /submissions                 202 and its Location: the code has its place in the line
 *     GET  /submissions/:id             200 how far it is; as text/event-stream: each change until the verdict
 *     GET  /dead                        200 the jobs that were given up, with their reasons
 *     POST /dead/:queue/:id/redrive     204 back into its queue
 *
 * When a line is full: 503 with Retry-After, and nothing was taken. Every refusal is application/problem+json. What goes over a
 * queue is in job.ts.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';

export const PAYMENTS_PATH = '/payments';
export const SUBMISSIONS_PATH = '/submissions';
export const DEAD_PATH = '/dead';

/** The two queues. Each kind of work has its own: a slow judge keeps no customer waiting. */
export const NOTIFICATIONS = 'notifications';
export const SUBMISSIONS = 'submissions';

export const PAYMENT_BODY_BYTES = 1_024;
const MAX_AMOUNT = 10_000_000;

export interface Payment {
  /** International, as E.164 writes it: +4930123456. */
  readonly phone: string;
  /** In cents: a sum of floats is not money. */
  readonly amount: number;
}

export interface PaymentStatus extends Payment {
  readonly id: string;
  /** RFC 3339. */
  readonly at: string;
  /** When the customer was told. */
  readonly notified: string | null;
}

/** The data of a job of the kind `notify`: all that is needed to do it. */
export interface Notification extends Payment {
  readonly payment: string;
}

/** A job that was given up, as `GET /dead` lists it. */
export interface DeadLetter {
  readonly queue: string;
  readonly id: string;
  readonly kind: string | null;
  readonly attempts: number;
  readonly reason: string;
}

/** @throws {HttpProblem} 400 that says everything that is wrong with it, each with a JSON pointer [RFC 6901]. */
export function parsePayment(body: unknown): Payment {
  const { phone, amount } = isRecord(body) ? body : {};
  const errors: FieldError[] = [];
  if (!isRecord(body)) errors.push({ field: '', expected: 'an object' });
  if (!isPhone(phone)) errors.push({ field: '/phone', expected: 'a number such as +4930123456' });
  if (!isAmount(amount)) errors.push({ field: '/amount', expected: `cents: an integer from 1 to ${MAX_AMOUNT}` });
  if (isPhone(phone) && isAmount(amount) && errors.length === 0) return { phone, amount };
  throw new HttpProblem(400, { detail: 'the payment cannot be understood', errors });
}

/** @throws {TypeError} when a job holds something else: it then fails, and is set aside. */
export function parseNotification(data: unknown): Notification {
  const { payment, phone, amount } = isRecord(data) ? data : {};
  if (typeof payment !== 'string' || !isPhone(phone) || !isAmount(amount)) throw new TypeError('not a notification');
  return { payment, phone, amount };
}

/** @throws {TypeError} when it is not what the server answers. */
export function parsePaymentStatus(body: unknown): PaymentStatus {
  const { id, at, notified = null, phone, amount } = isRecord(body) ? body : {};
  if (typeof id !== 'string' || typeof at !== 'string') throw new TypeError('not a payment');
  if (notified !== null && typeof notified !== 'string') throw new TypeError('not a payment');
  if (!isPhone(phone) || !isAmount(amount)) throw new TypeError('not a payment');
  return { id, phone, amount, at, notified };
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const isPhone = (value: unknown): value is string => typeof value === 'string' && /^\+[1-9]\d{5,14}$/.test(value);

const isAmount = (value: unknown): value is number =>
  Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_AMOUNT;
