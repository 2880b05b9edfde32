/**
 * Makes a POST safe to repeat: the answer to the first request with a key is stored with what that request did, in the same
 * transaction, and every later one with the same key is given that answer [draft-ietf-httpapi-idempotency-key-header].
 *
 * Stored apart, one of the two could be lost: the order without its key is cooked twice, the key without its order never.
 */
import { createHash } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';
import type { PoolClient } from 'pg';
import type { Database } from './menu.ts';

/** What is stored, and sent to whoever asks with the same key. */
export interface Answer {
  readonly status: number;
  readonly location: string;
  readonly body: string;
}

export interface KeyedRequest {
  /** Whose key it is: two routes, or two clients, may choose the same. With accounts, the account belongs in here. */
  readonly scope: string;
  readonly key: string;
  /** What was asked for, as it was understood: white space and the order of fields make no difference. */
  readonly payload: unknown;
}

/** Beside what the requests write, in the same database: that is the point. */
export const KEYS_TABLE = `
  create table if not exists restaurant.idempotency_keys (
    scope text not null,
    key text not null,
    fingerprint bytea not null,
    status int not null,
    location text not null,
    body text not null,
    created_at timestamptz not null default now(),
    primary key (scope, key)
  );`;

// #region once
/**
 * Runs `work` unless this key has been answered before. Call it inside the transaction in which `work` writes.
 * @throws {HttpProblem} 409 while another request with this key is in progress, 422 when the key was used for another payload.
 */
export async function once(
  client: PoolClient,
  { scope, key, payload }: KeyedRequest,
  work: () => Promise<Answer>,
): Promise<Answer & { readonly isReplay: boolean }> {
  // Held until the transaction ends, however it ends: a server that dies leaves no key locked.
  const lock = await client.query<{ free: boolean }>(
    'select pg_try_advisory_xact_lock(hashtextextended($1, 0)) as free',
    [`${scope} ${key}`],
  );
  if (!lock.rows[0]?.free) {
    const detail = 'a request with this Idempotency-Key is in progress';
    throw new HttpProblem(409, { detail, headers: { 'Retry-After': '1' } });
  }
  const fingerprint = createHash('sha256').update(JSON.stringify(payload)).digest();
  const stored = await client.query<Answer & { fingerprint: Buffer }>(
    'select fingerprint, status, location, body from restaurant.idempotency_keys where scope = $1 and key = $2',
    [scope, key],
  );
  const first = stored.rows[0];
  if (first) {
    if (first.fingerprint.equals(fingerprint)) return { ...first, isReplay: true };
    throw new HttpProblem(422, { detail: 'this Idempotency-Key was used for another request' });
  }
  const answer = await work();
  await client.query(
    'insert into restaurant.idempotency_keys (scope, key, fingerprint, status, location, body) values ($1, $2, $3, $4, $5, $6)',
    [scope, key, fingerprint, answer.status, answer.location, answer.body],
  );
  return { ...answer, isReplay: false };
}
// #endregion

/** Longer than any client goes on retrying. Whoever comes later with an old key orders anew. */
const KEPT_HOURS = 24;

/** Removes the keys that have expired. Any number of servers may do so at once. */
export async function sweepKeys(pool: Database): Promise<void> {
  await pool.query('delete from restaurant.idempotency_keys where created_at < now() - make_interval(hours => $1)', [
    KEPT_HOURS,
  ]);
}
