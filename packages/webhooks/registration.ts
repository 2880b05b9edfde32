/**
 * What the shop asks of the provider once in a while: to be called, to be given another secret, and to be left alone.
 *
 * The secrets are kept in the shop's database, so that every process of the shop has the same ones. While they are being
 * exchanged there are two: the provider signs with both, and each process may take its time to learn the new one.
 */

import { repeat } from '@patterns/kit/background';
import type { Log } from '@patterns/kit/log';
import type pg from 'pg';
import { ENDPOINTS, fieldsOf } from './protocol.ts';
import { readSecret, type Secret } from './signature.ts';

/** Where the shop keeps its secrets: the table `shop.secrets` (shop-database.ts). */
interface Pool {
  query<Row extends pg.QueryResultRow>(text: string, values?: unknown[]): Promise<pg.QueryResult<Row>>;
}

export interface KeyRing extends AsyncDisposable {
  /** Those that are valid now. */
  readonly current: () => readonly Secret[];
  /** Learns now what the database has, rather than in a while. */
  refresh(): Promise<void>;
}

/** The secrets that the shop has; asked of the database every `refreshMs`: far less than the hours for which an old one stays. */
export async function openKeyRing(pool: Pool, log: Log, refreshMs = 5_000): Promise<KeyRing> {
  let secrets: readonly Secret[] = [];
  async function refresh(): Promise<void> {
    const { rows } = await pool.query<{ secret: string }>(
      'select secret from shop.secrets where expires_at is null or expires_at > now() order by created_at desc',
    );
    secrets = rows.map(({ secret }) => readSecret(secret));
  }
  await refresh();
  const refreshing = repeat(refreshMs, refresh, log);
  return { current: () => secrets, refresh, [Symbol.asyncDispose]: () => refreshing[Symbol.asyncDispose]() };
}

/** Has the provider call `url` from now on, unless it does so already. @returns the endpoint's id. */
export async function register(pool: Pool, provider: string, url: string): Promise<string> {
  const known = await endpointOf(pool, provider);
  if (known) return known;
  const { id, secret } = await ask(provider, 'POST', ENDPOINTS, { url });
  await keepSecret(pool, { secret, provider, endpoint: id });
  return id as string;
}

export async function keepSecret(pool: Pool, { secret, provider, endpoint }: Record<string, unknown>): Promise<void> {
  await pool.query(
    'insert into shop.secrets (secret, provider, endpoint) values ($1, $2, $3) on conflict (secret) do nothing',
    [secret, provider, endpoint],
  );
}

// #region rotate
/** Exchanges the secret. The old one is good for as long as the provider goes on signing with it. */
export async function rotate(pool: Pool, provider: string): Promise<void> {
  const id = await endpointOf(pool, provider);
  const { secret, previousUntil } = await ask(provider, 'POST', `${ENDPOINTS}/${id}/rotate-secret`, {});
  await pool.query(
    `with old as (update shop.secrets set expires_at = $4 where endpoint = $3 and expires_at is null)
     insert into shop.secrets (secret, provider, endpoint) values ($1, $2, $3)`,
    [secret, provider, id, previousUntil],
  );
}
// #endregion

/** Has the provider forget about this shop. */
export async function unregister(pool: Pool, provider: string): Promise<void> {
  const id = await endpointOf(pool, provider);
  if (id) await ask(provider, 'DELETE', `${ENDPOINTS}/${id}`);
  await pool.query('delete from shop.secrets where provider = $1', [provider]);
}

async function endpointOf(pool: Pool, provider: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ endpoint: string }>(
    'select endpoint from shop.secrets where provider = $1 limit 1',
    [provider],
  );
  return rows[0]?.endpoint;
}

/** 10 s: the provider only writes a row. */
const ASK_MS = 10_000;

async function ask(provider: string, method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  const response = await fetch(provider + path, {
    method,
    ...(body && { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    signal: AbortSignal.timeout(ASK_MS),
  });
  const text = await response.text();
  if (!response.ok)
    throw new Error(`${method} ${path}: the provider answered ${response.status}: ${text.slice(0, 200)}`);
  return text === '' ? {} : fieldsOf(JSON.parse(text), '');
}
