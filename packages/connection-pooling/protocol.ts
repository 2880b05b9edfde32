/**
 * What crosses the wire: a small bank, read with one query and changed with one transaction.
 *
 *     GET  /users          200 { "users": [{ "id": 1, "name": "Ada", "balance": 10000 }] }
 *     POST /transfers      201 { "id": "1", "from": 1, "to": 2, "amount": 500 }
 *
 * Amounts are integers, in cents. Errors are problem+json: 400 malformed, 409 not enough money, 422 no such user, and
 * 503 with Retry-After when no connection to the database was to be had in time: nothing was done, ask again.
 */
import { type FieldError, HttpProblem } from '@patterns/kit/problem';

export const USERS = '/users';
export const TRANSFERS = '/transfers';

export interface User {
  readonly id: number;
  readonly name: string;
  /** In cents. */
  readonly balance: number;
}

export interface Transfer {
  readonly from: number;
  readonly to: number;
  /** In cents. */
  readonly amount: number;
}

export interface Receipt extends Transfer {
  /** A bigint in the database, hence text. */
  readonly id: string;
}

/** The range of PostgreSQL's `integer`: a larger number would be the database's error instead of the caller's. */
const MAX_INTEGER = 2 ** 31 - 1;

// #region read-transfer
/**
 * Reads the body of a transfer.
 * @throws {HttpProblem} 400 that names every field at fault.
 */
export function readTransfer(body: unknown): Transfer {
  const { from, to, amount } = (body ?? {}) as Record<string, unknown>;
  const errors: FieldError[] = [];
  if (!isPositive(from)) errors.push({ field: '/from', expected: 'the id of a user, such as 1' });
  if (!isPositive(to)) errors.push({ field: '/to', expected: 'the id of a user, such as 2' });
  else if (from === to) errors.push({ field: '/to', expected: 'another user than /from' });
  if (!isPositive(amount)) errors.push({ field: '/amount', expected: 'cents: an integer from 1' });
  if (!isPositive(from) || !isPositive(to) || !isPositive(amount) || errors.length > 0) {
    throw new HttpProblem(400, { detail: 'this is not a transfer', errors });
  }
  return { from, to, amount };
}

function isPositive(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= MAX_INTEGER;
}
// #endregion

/** What a client understands of `GET /users`. @throws {TypeError} when it is something else. */
export function decodeUsers(body: unknown): User[] {
  const { users } = (body ?? {}) as { users?: unknown };
  if (!Array.isArray(users)) throw new TypeError(`not an answer of ${USERS}`);
  return users.map((user) => {
    const { id, name, balance } = user as Record<string, unknown>;
    if (typeof id !== 'number' || typeof name !== 'string' || typeof balance !== 'number') {
      throw new TypeError(`not a user: ${JSON.stringify(user)}`);
    }
    return { id, name, balance };
  });
}

/** What a client understands of `POST /transfers`. @throws {TypeError} when it is something else. */
export function decodeReceipt(body: unknown): Receipt {
  const { id, ...transfer } = (body ?? {}) as Record<string, unknown>;
  if (typeof id !== 'string') throw new TypeError(`not an answer of ${TRANSFERS}`);
  return { id, ...readTransfer(transfer) };
}
