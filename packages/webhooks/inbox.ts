/**
 * Between the 2xx and the effect: an event is first written down, and then worked on. The row is the claim, and it is the
 * only memory of what has come: a Set in a process forgets when the process ends, and two processes have two of them.
 *
 * A worker takes a row, carries out the effect and notes that it is done, all in one transaction: whoever dies in between
 * has done nothing, and the row is free again. Any number of workers may run, in any number of processes.
 */
import { envInteger, envUrl } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import type { Pool, PoolClient } from 'pg';
import { inTransaction, openPool } from './database.ts';
import { bookEvent } from './orders.ts';
import type { PaymentEvent } from './protocol.ts';

/** One statement of an effect. 5 s: it is a row or two, and whoever waits longer waits for a lock. */
export const EFFECT_STATEMENT_MS = 5_000;

// #region enqueue
/**
 * Writes an event down, unless it is there already. When this resolves, it is committed.
 * @returns whether it is new: a duplicate that comes at the same moment waits for the first one, and finds its place taken.
 */
export async function enqueue(
  database: Pick<Pool | PoolClient, 'query'>,
  event: PaymentEvent,
  source: 'delivered' | 'reconciled',
): Promise<boolean> {
  const { rowCount } = await database.query(
    'insert into shop.inbox (id, event, source) values ($1, $2, $3) on conflict (id) do nothing',
    [event.id, JSON.stringify(event), source],
  );
  return rowCount === 1;
}
// #endregion

export interface WorkerOptions {
  /** Must be able to lend `concurrency` connections; better not the pool of those who answer requests. */
  pool: Pool;
  log: Log;
  /** Carries out an event in the worker's transaction. What cannot be rolled back (an e-mail, a call) does not belong in it. */
  effect?: (client: PoolClient, event: PaymentEvent) => Promise<void>;
  /** Events worked on at a time. */
  concurrency?: number;
  /** How often to look for what other processes wrote down, and for what is to be tried again. */
  pollMs?: number;
  /** The wait after the first failure; it doubles with each. With 8 attempts from 1 s: some two minutes in all. */
  backoffMs?: number;
  /** Failures until an event is set aside: then it is the program or the event that is wrong, and a person must look. */
  maxAttempts?: number;
}

export interface Worker extends AsyncDisposable {
  /** Something has been written down: look now. */
  wake(): void;
}

/** Works on the inbox until disposed; then what has been begun is finished first. */
export function startWorker({ concurrency = 4, pollMs = 500, ...options }: WorkerOptions): Worker {
  let isStopping = false;
  let woken = Promise.withResolvers<void>();
  const wake = () => {
    woken.resolve();
    woken = Promise.withResolvers();
  };
  const work = async () => {
    while (!isStopping) {
      const { promise } = woken; // before the look: what comes in during it must not be slept through
      const found = await workOnOne(options).catch((error) => {
        options.log.warn('the inbox cannot be worked on', { error });
        return false;
      });
      if (!found && !isStopping) await promise;
    }
  };
  const poll = setInterval(wake, pollMs);
  const loops = Array.from({ length: concurrency }, work);
  return {
    wake,
    async [Symbol.asyncDispose]() {
      isStopping = true;
      clearInterval(poll);
      wake();
      await Promise.all(loops);
    },
  };
}

type OneOptions = Omit<WorkerOptions, 'concurrency' | 'pollMs'>;

async function workOnOne({ pool, log, ...options }: OneOptions): Promise<boolean> {
  const done = await inTransaction(pool, (client) => attempt(client, options));
  if (done) log.log(done.outcome === 'done' ? 'info' : 'warn', 'event', done);
  return done !== undefined;
}

// #region attempt
/** Claim, effect and outcome, in the caller's transaction. @returns what to log; undefined when there was nothing to do. */
async function attempt(
  client: PoolClient,
  { effect = bookEvent, backoffMs = 1_000, maxAttempts = 8 }: Omit<OneOptions, 'pool' | 'log'>,
) {
  // The lock is the claim. SKIP LOCKED: what another worker holds is passed over, not waited for.
  const { rows } = await client.query<{ id: string; event: PaymentEvent; attempts: number }>(
    `select id, event, attempts from shop.inbox where outcome is null and due_at <= now()
      order by due_at limit 1 for update skip locked`,
  );
  const [row] = rows;
  if (!row) return undefined;
  const report = { webhookId: row.id, attempt: row.attempts + 1 };
  await client.query('savepoint claimed');
  try {
    await effect(client, row.event);
    await client.query(`update shop.inbox set outcome = 'done', settled_at = now() where id = $1`, [row.id]);
    return { ...report, outcome: 'done' };
  } catch (error) {
    // What the effect did is undone, and the event is tried again. On a broken connection this fails as well, and then
    // PostgreSQL undoes everything.
    await client.query('rollback to savepoint claimed');
    const isOver = report.attempt >= maxAttempts;
    const waitMs = backoffMs * 2 ** row.attempts * (0.5 + Math.random());
    await client.query(
      isOver
        ? `update shop.inbox set attempts = attempts + 1, reason = $2, outcome = 'set-aside', settled_at = now() where id = $1`
        : `update shop.inbox set attempts = attempts + 1, reason = $2, due_at = now() + $3 * interval '1 ms' where id = $1`,
      isOver ? [row.id, String(error)] : [row.id, String(error), waitMs],
    );
    return { ...report, outcome: isOver ? 'set-aside' : 'failed', error };
  }
}
// #endregion

if (import.meta.main) {
  await main(async (stack) => {
    const url = envUrl('DATABASE_URL', {
      protocols: ['postgres:', 'postgresql:'],
      hint: 'it says which shop to work for',
    });
    const concurrency = envInteger('WORKERS', 4, { min: 1 });
    const pool = stack.adopt(openPool({ url, size: concurrency, statementMs: EFFECT_STATEMENT_MS }), (each) =>
      each.end(),
    );
    const bookingMs = envInteger('BOOKING_MS', 0);
    const effect: WorkerOptions['effect'] = (client, event) => bookEvent(client, event, bookingMs);
    stack.use(startWorker({ pool, log: createLog('shop-worker'), concurrency, effect }));
    console.log('working on the inbox');
  });
}
