/**
 * What crosses the wire: four questions, each with one answer.
 *
 *     GET  /menu          200 the menu, with an ETag; 304 when If-None-Match says that the client has it
 *     GET  /menu/:id      200 one dish; 304 likewise
 *     POST /orders        201 the order and its Location. Needs an Idempotency-Key: the same key again is the same order
 *     GET  /orders/:id    200 the order
 *
 * Every refusal is application/problem+json. What comes from the other side is `unknown` until a function below has read it.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';

export const MENU_PATH = '/menu';
export const ORDERS_PATH = '/orders';
export const JSON_TYPE = 'application/json; charset=utf-8';

/** A guest's order is some hundred bytes: whatever is larger than these is a mistake or an attack. */
export const LIMITS = { bodyBytes: 16 * 1024, table: 99, lines: 20, quantity: 20, keyLength: 128 } as const;

export interface Dish {
  readonly id: string;
  readonly name: string;
  /** In cents: a sum of floats is not money. */
  readonly price: number;
}

export interface Menu {
  readonly items: readonly Dish[];
}

export interface Order {
  readonly table: number;
  readonly items: readonly { readonly dish: string; readonly quantity: number }[];
}

export interface PlacedOrder extends Order {
  readonly id: string;
  /** In cents. */
  readonly total: number;
  readonly placedAt: string;
}

/**
 * Reads the body of an order and says everything that is wrong with it, not only the first.
 * @throws {HttpProblem} 400, each error with a JSON pointer into the body [RFC 6901].
 */
export function parseOrder(body: unknown): Order {
  const errors: FieldError[] = [];
  const { table, items } = isRecord(body) ? body : {};
  if (!isRecord(body)) errors.push({ field: '', expected: 'an object' });
  if (!isCount(table, LIMITS.table)) errors.push({ field: '/table', expected: `an integer from 1 to ${LIMITS.table}` });
  const lines = Array.isArray(items) ? (items as unknown[]) : [];
  if (lines.length === 0 || lines.length > LIMITS.lines) {
    errors.push({ field: '/items', expected: `an array of 1 to ${LIMITS.lines} lines` });
  }
  // A list that is too long is not looked through: that would be the work which the limit is to spare us.
  for (const [i, line] of lines.slice(0, LIMITS.lines).entries()) {
    const { dish, quantity } = isRecord(line) ? line : {};
    if (typeof dish !== 'string' || dish === '') {
      errors.push({ field: `/items/${i}/dish`, expected: 'the id of a dish on the menu' });
    }
    if (!isCount(quantity, LIMITS.quantity)) {
      errors.push({ field: `/items/${i}/quantity`, expected: `an integer from 1 to ${LIMITS.quantity}` });
    }
  }
  if (errors.length > 0) throw new HttpProblem(400, { detail: 'the order cannot be understood', errors });
  const ordered = lines as Order['items'];
  return { table: table as number, items: ordered.map(({ dish, quantity }) => ({ dish, quantity })) };
}

/**
 * Reads the field `Idempotency-Key`: a string in quotes [draft-ietf-httpapi-idempotency-key-header §2.1]. The bare form, which
 * most clients send, is taken as well.
 * @throws {HttpProblem} 400 when it is missing [§2.7] or malformed.
 */
export function readKey(field: string | undefined): string {
  const [, quoted, bare] = /^(?:"([\x20\x21\x23-\x5b\x5d-\x7e]+)"|([\w.-]+))$/.exec(field ?? '') ?? [];
  const key = quoted ?? bare ?? '';
  if (key !== '' && key.length <= LIMITS.keyLength) return key;
  throw new HttpProblem(400, {
    detail: field === undefined ? 'an order needs an Idempotency-Key' : 'the Idempotency-Key is malformed',
    errors: [{ field: 'Idempotency-Key', expected: `a string in quotes, such as a UUID, of at most 128 characters` }],
  });
}

/** @throws {TypeError} when it is not a menu. Fields that we do not know are no error: a server may learn. */
export function parseMenu(body: unknown): Menu {
  if (!isRecord(body) || !Array.isArray(body.items) || !body.items.every(isDish)) throw new TypeError('not a menu');
  return { items: body.items };
}

/** @throws {TypeError} when it is not an order as the server answers it. */
export function parsePlacedOrder(body: unknown): PlacedOrder {
  if (
    !isRecord(body) ||
    typeof body.id !== 'string' ||
    typeof body.total !== 'number' ||
    typeof body.placedAt !== 'string'
  ) {
    throw new TypeError('not an order');
  }
  return { id: body.id, ...parseOrder(body), total: body.total, placedAt: body.placedAt };
}

function isDish(value: unknown): value is Dish {
  return (
    isRecord(value) && typeof value.id === 'string' && typeof value.name === 'string' && typeof value.price === 'number'
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isCount(value: unknown, most: number): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most;
}
