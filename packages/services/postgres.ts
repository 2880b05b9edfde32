/**
 * Finds a PostgreSQL, or starts one: DATABASE_URL; what docker-compose.yml publishes; the one that npm brings.
 * A server that DATABASE_URL names and that does not answer is an error, and never a reason to take another one.
 */
import pg from 'pg';
import { compose, composePostgresUrl } from './compose.ts';
import { announced, type FindOptions, reason, redacted, type Service, ServiceError, urlFromEnv } from './service.ts';
import { startPostgres } from './start-postgres.ts';

/** The oldest that its makers still mend. */
const oldestPostgres = 14;

/** Where a PostgreSQL would come from. */
export type PostgresSource =
  | { from: 'environment'; url: string; version: string }
  | { from: 'compose'; url: string; version: string }
  | { from: 'npm' };

/** Looks, and starts nothing. Throws `invalid-url`, `unreachable` or `too-old`. */
export async function locatePostgres(options: FindOptions = {}): Promise<PostgresSource> {
  const { env = process.env, composePort = compose.postgres.port } = options;
  const given = urlFromEnv(env, 'DATABASE_URL', ['postgres:', 'postgresql:']);
  if (given) return { from: 'environment', url: given.href, version: await reach(given) };
  const url = composePostgresUrl(composePort);
  const version = await ask(url).catch(() => undefined);
  return version === undefined ? { from: 'npm' } : { from: 'compose', url, version };
}

/** A PostgreSQL that answers. Throws a ServiceError whose message says what to do. */
export async function findPostgres(options: FindOptions = {}): Promise<Service> {
  const { progress, signal } = options;
  const source = await locatePostgres(options);
  signal?.throwIfAborted();
  if (source.from !== 'npm') {
    const { from: origin, url, version } = source;
    const where = origin === 'environment' ? `DATABASE_URL ${redacted(url)}` : `docker compose on ${new URL(url).host}`;
    return { url, origin, about: `using ${where}, PostgreSQL ${version}`, async [Symbol.asyncDispose]() {} };
  }
  try {
    return await announced(startPostgres(signal && { signal }), 'starting PostgreSQL (about two seconds)', progress);
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error;
    const instead = 'run `docker compose up -d --wait`, or set DATABASE_URL';
    throw new ServiceError(error.code, `no PostgreSQL: ${error.message}; ${instead}`, { cause: error });
  }
}

async function reach(url: URL): Promise<string> {
  const version = await ask(url.href).catch((error: unknown) => {
    throw new ServiceError(
      'unreachable',
      `DATABASE_URL ${redacted(url)} does not answer (${reason(error)}): start that server, or unset DATABASE_URL`,
      { cause: error },
    );
  });
  if (Number.parseInt(version, 10) >= oldestPostgres) return version;
  throw new ServiceError('too-old', `DATABASE_URL is PostgreSQL ${version}: ${oldestPostgres} or newer is needed`);
}

// A server on this machine answers in milliseconds, one across an ocean in half a second.
const answerMs = 2_000;

/** The version of a server that answers, such as "18.4". */
async function ask(url: string): Promise<string> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: answerMs,
    query_timeout: answerMs,
  });
  client.on('error', () => {}); // the call that it broke rejects
  try {
    await client.connect();
    const { rows } = await client.query<{ server_version: string }>('show server_version');
    return rows[0]?.server_version.split(' ', 1)[0] ?? '';
  } finally {
    await client.end();
  }
}
