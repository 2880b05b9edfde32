/**
 * LISTEN: PostgreSQL says when there is something new, so that a dispatcher need not ask all the time. What is said while the
 * connection is down is lost: it saves waiting, and nothing depends on it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';

/** Between two attempts to connect. Meanwhile the dispatcher looks by itself. */
const RECONNECT_MS = 1_000;

/** Calls `wake` at each notification, and once it listens (again), until `signal` aborts. Resolves when all is closed. */
export async function listenFor(url: string, channel: string, wake: () => void, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const client = new pg.Client({ connectionString: url, keepAlive: true, connectionTimeoutMillis: 5_000 });
    const ended = Promise.withResolvers<void>();
    const end = () => ended.resolve();
    client.on('error', end);
    client.on('end', end);
    signal.addEventListener('abort', end);
    try {
      await client.connect();
      client.on('notification', wake);
      await client.query(`listen ${pg.escapeIdentifier(channel)}`);
      wake();
      await ended.promise;
    } catch {
      // as if it had ended
    }
    signal.removeEventListener('abort', end);
    await client.end().catch(() => {});
    if (!signal.aborted) await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}
