/**
 * The issuer's tables. Only the issuer has a database: whoever verifies tokens needs none.
 */
import { HttpProblem } from '@patterns/kit/problem';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import pg from 'pg';

/** In a schema of their own: the database may be somebody else's. The lock keeps two programs that start at once from creating
 *  the same table twice; one query text is one transaction, so it is held to the end. */
const SCHEMA = `
  select pg_advisory_xact_lock(hashtextextended('patterns: issuer', 0));
  create schema if not exists issuer;

  create table if not exists issuer.users (
    id uuid primary key default gen_random_uuid(),
    name text not null unique,
    salt bytea not null,
    password_hash bytea not null
  );

  create table if not exists issuer.signing_keys (
    kid text primary key,
    private_key text not null,                       -- PKCS #8 in PEM: see keys.ts for where it should be
    signs_from timestamptz not null
  );

  -- One row a login, however often its token is exchanged for the next.
  create table if not exists issuer.families (
    id uuid primary key,
    user_id uuid not null references issuer.users on delete cascade,
    scope text not null,
    current_hash bytea not null,                     -- of the one token that is good
    previous_hash bytea,                             -- of the one it was exchanged for
    successor_salt bytea,                            -- makes the current one from the previous one, for whoever has that
    used_at timestamptz not null default now(),
    expires_at timestamptz not null,
    revoked_because text                             -- null while it is good
  );

  -- Those that may still be accepted somewhere. What is revoked here is the deny-list.
  create table if not exists issuer.access_tokens (
    jti uuid primary key,
    family uuid not null references issuer.families on delete cascade,
    is_revoked boolean not null default false,
    expires_at timestamptz not null
  );
  create index if not exists access_tokens_family on issuer.access_tokens (family);
  create index if not exists access_tokens_revoked on issuer.access_tokens (jti) where is_revoked;`;

/** Opens a pool in which no wait is endless, and creates the tables unless they are there. It ends with `pool.end()`. */
export async function openPool(url: string, connections = 10): Promise<pg.Pool> {
  const statementMs = 5_000; // those here take milliseconds, and waits for a lock count too
  const pool = new pg.Pool({
    connectionString: url,
    max: connections,
    connectionTimeoutMillis: 5_000, // for a free one, or a new one; beyond, 503
    statement_timeout: statementMs,
    query_timeout: statementMs + 500, // our own watch, for a server of which nothing is heard at all
  });
  // A connection that breaks emits an error nobody awaits, and without a listener that ends the process. Idle ones are the
  // pool's to tell, those in use their own.
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  try {
    await pool.query(SCHEMA);
  } catch (error) {
    await pool.end();
    throw error;
  }
  return pool;
}

/**
 * Runs `work` in a transaction: committed when it resolves, rolled back when it rejects.
 * @throws {HttpProblem} 503 when the database cannot be reached.
 */
export async function inTransaction<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect().catch((cause) => {
    throw new HttpProblem(503, { detail: 'the database cannot be reached', headers: { 'Retry-After': '2' }, cause });
  });
  let isSpoilt = false;
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  } catch (error) {
    await client.query('rollback').catch(() => {
      isSpoilt = true;
    });
    throw error;
  } finally {
    client.release(isSpoilt); // true closes it: an answer may still be on its way, and the next user would take it for his own
  }
}

/** The database of an issuer run by hand: DATABASE_URL, or else one of its own, gone when `stack` is disposed. */
export async function openDatabase(stack: AsyncDisposableStack, signal: AbortSignal): Promise<string> {
  if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
  const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
  console.log(postgres.about);
  return stack.use(await createDatabase(postgres.url, 'issuer')).url;
}
