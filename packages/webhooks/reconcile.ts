/**
 * Fetches what was never delivered. Retries end after three days, an endpoint may be disabled, a filter may be wrong: however good
 * both sides are, some day a webhook does not come, and what does not come cannot be noticed. So once in a while the shop asks
 * what there was. Its question is the other half of every webhook: without it, they are hints.
 *
 * `node reconcile.ts <provider url>` does it once, for the shop in DATABASE_URL.
 */
import { ConfigError, envInteger, envUrl } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { Pool, PoolClient } from 'pg';
import { inTransaction, openPool } from './database.ts';
import { enqueue } from './inbox.ts';
import { EVENTS, type EventPage, fieldsOf, readEvent } from './protocol.ts';

export interface ReconcileOptions {
  /** Events younger than this may still be on their way, and are left for the next time. 1 min: the first retry. */
  settleMs?: number;
  /** 10 s for a page: the provider reads a few hundred rows. */
  timeoutMs?: number;
}

export interface Reconciliation {
  /** Events that the provider told of. */
  seen: number;
  /** Those of them that had never come. */
  missed: number;
}

// #region reconcile
/**
 * Puts into the inbox whatever the provider knows and the inbox does not. It goes on where it was the last time.
 * @throws when the provider does not answer, or refuses; what was fetched until then is kept.
 */
export async function reconcile(pool: Pool, provider: string, options: ReconcileOptions = {}): Promise<Reconciliation> {
  const { settleMs = 60_000, timeoutMs = 10_000 } = options;
  const total: Reconciliation = { seen: 0, missed: 0 };
  for (let isMore = true; isMore; ) {
    const page = await fetchPage(provider, await cursorOf(pool, provider), timeoutMs);
    const events = page.events.map(readEvent).filter((event) => event !== undefined); // unknown types are passed over
    const settled = events.filter(({ at }) => Date.parse(at) <= Date.now() - settleMs);
    isMore = page.events.length > 0 && settled.length === events.length;
    await inTransaction(pool, async (client) => {
      for (const event of settled) {
        // The same door as for what is delivered: whichever comes second finds its place taken.
        if (await enqueue(client, event, 'reconciled')) total.missed++;
      }
      // With the events: a cursor that was written before them would skip them, should we die in between.
      if (isMore) await moveCursor(client, provider, page.next);
    });
    total.seen += settled.length;
  }
  return total;
}
// #endregion

async function fetchPage(provider: string, after: string, timeoutMs: number): Promise<EventPage> {
  const response = await fetch(`${provider}${EVENTS}?after=${encodeURIComponent(after)}&limit=200`, {
    signal: AbortSignal.timeout(timeoutMs),
  });
  if (!response.ok) throw new Error(`GET ${EVENTS}: the provider answered ${response.status}`);
  const { events, next } = fieldsOf(await response.json(), '');
  if (!Array.isArray(events) || typeof next !== 'string') throw new Error(`GET ${EVENTS}: this is no page of events`);
  return { events, next };
}

async function cursorOf(pool: Pool, provider: string): Promise<string> {
  const { rows } = await pool.query<{ cursor: string }>('select cursor from shop.reconciliations where provider = $1', [
    provider,
  ]);
  return rows[0]?.cursor ?? '';
}

async function moveCursor(client: PoolClient, provider: string, cursor: string): Promise<void> {
  await client.query(
    `insert into shop.reconciliations (provider, cursor) values ($1, $2)
     on conflict (provider) do update set cursor = excluded.cursor`,
    [provider, cursor],
  );
}

if (import.meta.main) {
  await main(async (stack) => {
    const [provider] = process.argv.slice(2);
    if (!provider) throw new ConfigError('usage: node reconcile.ts <provider url>, with DATABASE_URL');
    const url = envUrl('DATABASE_URL', { protocols: ['postgres:', 'postgresql:'], hint: 'it says for which shop' });
    const pool = stack.adopt(openPool({ url, size: 1, statementMs: 5_000 }), (each) => each.end());
    const { seen, missed } = await reconcile(pool, provider, { settleMs: envInteger('SETTLE_MS', 60_000) });
    console.log(`${seen} events seen, ${missed} of them had never come`);
    await stack.disposeAsync();
  });
}
