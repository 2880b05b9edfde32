/**
 * The users, in PostgreSQL, and what belongs to them rather than to one of their sessions.
 *
 * Two answers never differ: for a name that does not exist, and for a wrong password. Nor does the work behind them.
 */
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { Hasher } from './password.ts';
import type { Credentials, Profile } from './protocol.ts';

/** So that one user is not a table of their own. */
export const MOST_PREFERENCES = 20;

/** Everything is in a schema of its own: the database may be somebody else's. The lock keeps two servers that start at once from
 *  creating the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('waiter', 0));
  create schema if not exists waiter;
  create table if not exists waiter.users (
    id int primary key generated always as identity (start with 123),
    name text not null unique,
    password text not null,
    preferences text[] not null default '{}'
  )`;

export class Users {
  readonly #pool: pg.Pool;
  readonly #hasher: Hasher;
  readonly #nobodys: string;

  private constructor(pool: pg.Pool, hasher: Hasher, nobodys: string) {
    this.#pool = pool;
    this.#hasher = hasher;
    this.#nobodys = nobodys;
  }

  /** Sees to the table. */
  static async open(pool: pg.Pool, hasher: Hasher): Promise<Users> {
    await pool.query(SCHEMA);
    return new Users(pool, hasher, await hasher.hash(randomUUID()));
  }

  /** Creates a user, if there is none of that name: an existing one keeps their password. */
  async create({ name, password }: Credentials, preferences: readonly string[] = []): Promise<void> {
    const { rowCount } = await this.#pool.query('select from waiter.users where name = $1', [name]);
    if (rowCount) return;
    await this.#pool.query(
      'insert into waiter.users (name, password, preferences) values ($1, $2, $3) on conflict do nothing',
      [name, await this.#hasher.hash(password), preferences],
    );
  }

  // #region authenticate
  /** The user's id when name and password are right. A wrong name costs as much as a wrong password: a digest is computed for it, too. */
  async authenticate({ name, password }: Credentials): Promise<number | undefined> {
    const { rows } = await this.#pool.query<{ id: number; password: string }>(
      'select id, password from waiter.users where name = $1',
      [name],
    );
    const user = rows[0];
    const { isRight, isOutdated } = await this.#hasher.verify(password, user?.password ?? this.#nobodys);
    if (!user || !isRight) return undefined;
    if (isOutdated) await this.#renew(user, password);
    return user.id;
  }
  // #endregion

  /** Only now, with the password at hand, can its digest be made at today's cost. */
  async #renew(user: { id: number; password: string }, password: string): Promise<void> {
    const renewed = await this.#hasher.hash(password);
    await this.#pool.query('update waiter.users set password = $3 where id = $1 and password = $2', [
      user.id,
      user.password,
      renewed,
    ]);
  }

  /** Undefined when the user has been deleted. */
  async find(id: number): Promise<Profile | undefined> {
    const { rows } = await this.#pool.query<Profile>('select id, name, preferences from waiter.users where id = $1', [
      id,
    ]);
    return rows[0];
  }

  // #region preferences
  /** Adds one preference, in one statement: two requests that each add one lose none. @returns whether there was room for it. */
  async prefer(id: number, preference: string): Promise<boolean> {
    const { rowCount } = await this.#pool.query(
      `update waiter.users set preferences = array_append(array_remove(preferences, $2), $2)
       where id = $1 and cardinality(array_remove(preferences, $2)) < $3`,
      [id, preference, MOST_PREFERENCES],
    );
    return rowCount === 1;
  }
  // #endregion

  async forget(id: number, preference: string): Promise<void> {
    await this.#pool.query('update waiter.users set preferences = array_remove(preferences, $2) where id = $1', [
      id,
      preference,
    ]);
  }
}
