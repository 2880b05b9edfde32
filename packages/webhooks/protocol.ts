/**
 * What crosses the wire. From the provider to the shop, by the Standard Webhooks specification:
 *
 *     POST /webhooks
 *     webhook-id: evt_019c…                  the event's, and the same in every attempt: what a consumer tells repetitions by
 *     webhook-timestamp: 1795212000          when this attempt was made, in seconds: what an old request is told by
 *     webhook-signature: v1,K5oZfzN95Z9…=    over id, timestamp and body; during a rotation several, with spaces between
 *     x-signature: 5257a869e7ec…             over the body alone, for consumers that know nothing else
 *
 *     {"id":"evt_019c…","type":"payment.refunded","at":"2026-11-21T…","data":{"payment":"pay_019c…","version":2,"amount":4200,"status":"refunded"}}
 *
 * An event holds the whole state of its payment and that state's version, so that no earlier event is needed to understand it.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';

/** The provider's API. A `POST /payments` with a header `Idempotency-Key` may be repeated: the answer is that to the first one. */
export const PAYMENTS = '/payments';
export const EVENTS = '/events';
export const ENDPOINTS = '/endpoints';
export const DELIVERIES = '/deliveries';

/** Where the shop takes webhooks. */
export const WEBHOOKS = '/webhooks';

export const ID_HEADER = 'webhook-id';
export const TIMESTAMP_HEADER = 'webhook-timestamp';
export const SIGNATURE_HEADER = 'webhook-signature';
export const SIMPLE_SIGNATURE_HEADER = 'x-signature';

export const EVENT_TYPES = ['payment.succeeded', 'payment.refunded'] as const;
export type EventType = (typeof EVENT_TYPES)[number];

/** A payment as it is after the event. */
export interface PaymentState {
  readonly payment: string;
  /** 1, 2, 3: counts the changes of this payment. Unlike a timestamp it has no ties, and no clock. */
  readonly version: number;
  /** In cents: what was paid, and, once it is refunded, what was given back. */
  readonly amount: number;
  readonly status: 'succeeded' | 'refunded';
  /** What the shop calls it, if it said so: so that it knows a payment whose answer never came. */
  readonly reference?: string;
}

export interface PaymentEvent {
  /** Unique over all events, without a dot: `webhook-id`. */
  readonly id: string;
  readonly type: EventType;
  /** When it happened, as RFC 3339. */
  readonly at: string;
  readonly data: PaymentState;
}

/** A page of `GET /events?after=<cursor>&limit=`: what has happened, whether it was delivered or not. */
export interface EventPage {
  readonly events: readonly unknown[];
  /** Of the last event here: where to go on, now or later. */
  readonly next: string;
}

// #region read-event
/**
 * Understands the body of a webhook. Undefined: an event of a type that this version does not know, which is no error, and
 * is answered like the others: else the provider would repeat it for days.
 *
 * @throws {HttpProblem} 400 when it is no event, or lacks something.
 */
export function readEvent(value: unknown): PaymentEvent | undefined {
  const { id, type, at, data } = fieldsOf(value, '');
  demand('/id', isId(id), 'a string of 1 to 200 characters, without a dot');
  demand('/type', typeof type === 'string', 'a string');
  demand('/at', typeof at === 'string' && !Number.isNaN(Date.parse(at)), 'a date, as in RFC 3339');
  if (!EVENT_TYPES.includes(type as EventType)) return undefined;
  const { payment, version, amount, status, reference } = fieldsOf(data, '/data');
  demand('/data/payment', isId(payment), 'the id of a payment');
  demand('/data/version', Number.isSafeInteger(version) && (version as number) > 0, 'an integer from 1');
  demand('/data/amount', isAmount(amount), 'an integer, in cents');
  demand('/data/status', status === 'succeeded' || status === 'refunded', 'succeeded or refunded');
  const known = isReference(reference) ? { reference } : {};
  return { id, type, at, data: { payment, version, amount, status, ...known } } as PaymentEvent;
}
// #endregion

export interface PaymentRequest {
  /** In cents. */
  readonly amount: number;
  readonly reference?: string;
}

/** The body of `POST /payments`. @throws {HttpProblem} 400 */
export function readPayment(body: unknown): PaymentRequest {
  const { amount, reference } = fieldsOf(body, '');
  demand('/amount', isAmount(amount) && amount !== 0, 'an integer from 1, in cents');
  demand('/reference', reference === undefined || isReference(reference), 'a text of 1 to 64 characters');
  return { amount: amount as number, ...(isReference(reference) ? { reference } : {}) };
}

/** The field `Idempotency-Key`, with or without quotes. It may be missing: then the same request again is another payment. */
export function readKey(field: string | undefined): string | undefined {
  const key = /^(?:"([\w.:-]{1,128})"|([\w.:-]{1,128}))$/.exec(field ?? '');
  if (key || field === undefined) return key?.[1] ?? key?.[2];
  const errors = [{ field: 'Idempotency-Key', expected: 'up to 128 letters, digits, dots, colons and dashes' }];
  throw new HttpProblem(400, { detail: 'the Idempotency-Key is malformed', errors });
}

/** An object's fields, before anything is known of them. @throws {HttpProblem} 400 */
export function fieldsOf(value: unknown, field: string): Record<string, unknown> {
  demand(field, typeof value === 'object' && value !== null && !Array.isArray(value), 'an object');
  return value as Record<string, unknown>;
}

/** @throws {HttpProblem} 400 unless `holds` */
export function demand(field: FieldError['field'], holds: boolean, expected: string): void {
  if (!holds) throw new HttpProblem(400, { detail: 'the body is not as it should be', errors: [{ field, expected }] });
}

// A dot separates the parts of what is signed (signature.ts).
const isId = (value: unknown) => typeof value === 'string' && /^[^.\s]{1,200}$/.test(value);
const isReference = (value: unknown): value is string =>
  typeof value === 'string' && value.length >= 1 && value.length <= 64;
const isAmount = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= 1e9;
