/**
 * Who may log in: names and password hashes. Nobody but the issuer sees either.
 */
import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { HttpProblem } from '@patterns/kit/problem';
import type { Pool } from 'pg';
import { inTransaction } from './database.ts';

/** Memory-hard, so that a stolen table costs a guesser memory as well as time: OWASP's least parameters for Argon2id, some 20 ms. */
const ARGON2ID = { memory: 19 * 1024, passes: 2, parallelism: 1, tagLength: 32 } as const;

/** Four run at a time, on libuv's threads, with 19 MiB each, and as many wait. */
const MAX_HASHING = 8;

export interface Users {
  /** Adds a user. One that is there already stays as it is. @returns whether there was none. */
  create(name: string, password: string): Promise<boolean>;
  /**
   * The user's id, or undefined when there is no such user, or it is not the password: which of the two is not said, and
   * takes the same time.
   * @throws {HttpProblem} 503 when too many are being checked.
   */
  check(name: string, password: string): Promise<string | undefined>;
}

const derive = promisify(argon2);

/** `onHash` is told of each hash that is made: they are most of what a login costs. */
export function openUsers(pool: Pool, onHash: () => void = () => {}): Users {
  let hashing = 0;
  /** For names that nobody has: of a password that nobody knows. */
  const nobody = { id: undefined, salt: randomBytes(16), password_hash: randomBytes(ARGON2ID.tagLength) };

  async function hashPassword(password: string, salt: Buffer): Promise<Buffer> {
    if (hashing >= MAX_HASHING)
      throw new HttpProblem(503, { detail: 'too many logins at once', headers: { 'Retry-After': '1' } });
    hashing++;
    onHash();
    try {
      return await derive('argon2id', { ...ARGON2ID, message: password, nonce: salt });
    } finally {
      hashing--;
    }
  }

  return {
    async create(name, password) {
      const salt = randomBytes(16);
      const hash = await hashPassword(password, salt);
      const { rowCount } = await inTransaction(pool, (client) =>
        client.query(
          'insert into issuer.users (name, salt, password_hash) values ($1, $2, $3) on conflict (name) do nothing',
          [name, salt, hash],
        ),
      );
      return rowCount === 1;
    },
    // #region check
    async check(name, password) {
      const { rows } = await inTransaction(pool, (client) =>
        client.query<{ id: string; salt: Buffer; password_hash: Buffer }>(
          'select id, salt, password_hash from issuer.users where name = $1',
          [name],
        ),
      );
      const user = rows[0] ?? nobody;
      const hash = await hashPassword(password, user.salt); // for nobody too: else the time says who is a user
      return timingSafeEqual(hash, user.password_hash) ? user.id : undefined;
    },
    // #endregion
  };
}
