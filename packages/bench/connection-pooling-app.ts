/**
 * The application of the connection-pooling benchmark: many callers, each of whom looks up one user after the other. What
 * differs is how a look-up comes to a connection. The database, the other process, is what it keeps waiting.
 */
import { createPool } from '@patterns/connection-pooling/pool';
import pg from 'pg';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

/** `size` is the number of connections. */
export type Way = { by: 'connecting' } | { by: 'pool' | 'pipeline' | 'batch'; size: number };

type LookUp = (id: number) => Promise<unknown>;

const url = process.env.DATABASE_URL!;
const USERS = 50;
const ONE = { name: 'one', text: 'select id, name, balance from pooling.users where id = $1' };
const MANY = { name: 'many', text: 'select id, name, balance from pooling.users where id = any($1)' };

const ways = {
  async connecting(): Promise<LookUp> {
    return async (id) => {
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      const { rows } = await client.query(ONE.text, [id]);
      await client.end();
      return rows[0];
    };
  },

  async pool(size: number, stack: AsyncDisposableStack): Promise<LookUp> {
    const pool = await openPool(size, stack);
    return async (id) => (await pool.query({ ...ONE, values: [id] })).rows[0];
  },

  /** Each query is sent at once, behind those that have no answer yet: a connection is never idle for a round trip. */
  async pipeline(size: number, stack: AsyncDisposableStack): Promise<LookUp> {
    const clients = await Promise.all(
      Array.from({ length: size }, async () => {
        const client = new pg.Client({ connectionString: url, pipeline: true });
        await client.connect();
        stack.defer(() => client.end());
        return client;
      }),
    );
    let next = 0;
    return async (id) => (await clients[next++ % size]!.query({ ...ONE, values: [id] })).rows[0];
  },

  /** What is looked up in one pass of the event loop is one query: a statement's costs are paid once for all of it. */
  async batch(size: number, stack: AsyncDisposableStack): Promise<LookUp> {
    const pool = await openPool(size, stack);
    let waiting: { id: number; found: PromiseWithResolvers<unknown> }[] = [];
    const flush = async () => {
      const batch = waiting;
      waiting = [];
      try {
        const { rows } = await pool.query<{ id: number }>({
          ...MANY,
          values: [[...new Set(batch.map(({ id }) => id))]],
        });
        const users = new Map(rows.map((row) => [row.id, row]));
        for (const { id, found } of batch) found.resolve(users.get(id));
      } catch (error) {
        for (const { found } of batch) found.reject(error);
      }
    };
    return (id) => {
      const found = Promise.withResolvers<unknown>();
      if (waiting.push({ id, found }) === 1) setImmediate(() => void flush());
      return found.promise;
    };
  },
};

/** A pool with all of its connections open. */
async function openPool(size: number, stack: AsyncDisposableStack): Promise<pg.Pool> {
  const pool = createPool({ url, size, acquireTimeoutMs: 20_000 });
  stack.defer(() => pool.end());
  const clients = await Promise.all(Array.from({ length: size }, () => pool.connect()));
  for (const client of clients) client.release();
  return pool;
}

async function run({ way, callers, durationMs, warmUpMs }: RunOptions) {
  await using stack = new AsyncDisposableStack();
  const lookUp = await (way.by === 'connecting' ? ways.connecting() : ways[way.by](way.size, stack));
  await keepAsking(lookUp, callers, warmUpMs);
  const before = process.cpuUsage();
  const startedAt = performance.now();
  const latenciesMs = await keepAsking(lookUp, callers, durationMs);
  const seconds = (performance.now() - startedAt) / 1_000;
  const { user, system } = process.cpuUsage(before);
  return {
    cpuMicros: (user + system) / latenciesMs.length,
    rate: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
    residentMb: process.memoryUsage.rss() / 1e6,
    busy: (user + system) / seconds / 10_000,
  };
}

interface RunOptions {
  way: Way;
  callers: number;
  durationMs: number;
  warmUpMs: number;
}

/** How long each look-up took, in milliseconds. Ends when all callers have their last answer. */
async function keepAsking(lookUp: LookUp, callers: number, durationMs: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  const deadline = performance.now() + durationMs;
  const caller = async (first: number) => {
    for (let id = first; performance.now() < deadline; id++) {
      const askedAt = performance.now();
      const user = (await lookUp((id % USERS) + 1)) as { id: number } | undefined;
      if (user?.id !== (id % USERS) + 1) throw new Error(`asked for user ${(id % USERS) + 1}, got ${user?.id}`);
      latenciesMs.push(performance.now() - askedAt);
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  return latenciesMs;
}

const handlers = { run };
export type PoolApp = typeof handlers;
answer(handlers);
