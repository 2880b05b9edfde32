/**
 * Whom `chaos.ts` kills: each service of a town, started again as soon as it is gone; the connections of all of them to Redis; and the
 * PostgreSQL backends of one of them. And how it sees that nothing is under way any more.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { type Random, shuffled, type Victim } from '@patterns/kit/testing/chaos';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import pg from 'pg';
import { AUDITED, type Books } from './audit.ts';
import { NOTIFICATIONS_QUEUE } from './contracts/notification.ts';
import { FINAL_STATES } from './protocol.ts';
import { startTown } from './server.ts';
import { DATABASES, type DatabaseOwner } from './town-plan.ts';

export interface ChaosTown extends AsyncDisposable {
  /** The gateway's. */
  readonly url: string;
  readonly books: Books;
  /** Ids of all orders that somebody was told of. */
  readonly ordered: Set<string>;
  /** Everything that may be killed, in random order: with few kills it is not always the same ones that are spared. */
  victims(random: Random): Victim[];
  /** Resolves when nothing is under way any more. */
  settled(signal: AbortSignal): Promise<void>;
  /** Jobs that were given up. */
  dead(): Promise<number>;
}

/** A meal in half a second; and whoever takes over from a killed one does not wait much longer than that. */
const PACE = { COOK_MS: '50', STEP_MS: '20', GATEWAY_MS: '10', LEASE_MS: '2000', RECONCILE_AFTER_MS: '2000' };

/** Seldom enough not to load the town that is to come to rest. */
const LOOK_MS = 100;

/** What waits to be sent, in each of these services. */
const OUTBOXES = ['order', 'kitchen', 'payment', 'tracking'] as const satisfies readonly DatabaseOwner[];

interface ChaosTownOptions {
  env: Readonly<Record<string, string | undefined>>;
  signal: AbortSignal;
}

export async function openChaosTown({ env, signal }: ChaosTownOptions): Promise<ChaosTown> {
  const { DATABASE_URL: databaseUrl, REDIS_URL: redisUrl, REDIS_PREFIX: redisPrefix = '' } = env;
  if (!databaseUrl || !redisUrl) throw new Error('DATABASE_URL or REDIS_URL is not set');
  await using opened = new AsyncDisposableStack();
  const redis = opened.use(await startFaultProxy(redisUrl));
  const paced = { ...PACE, LOG_LEVEL: 'error' };
  const members = ['provider', 'user-1', 'user-2', 'kitchen', 'payment', 'sidecar', 'notification', 'tracking'];
  const town = opened.use(
    await startTown({
      databaseUrl,
      redisUrl: redis.url,
      redisPrefix,
      userInstances: 2,
      env: Object.fromEntries([...members, 'order', 'gateway'].map((name) => [name, paced])),
      restarts: true,
      signal,
    }),
  );
  // By the direct way, which nobody cuts.
  const queue = opened.use(await openRedisQueue({ url: redisUrl, prefix: redisPrefix, name: NOTIFICATIONS_QUEUE }));
  const lookers = new Map(
    DATABASES.map((name) => {
      const look = new pg.Pool({ connectionString: lookAt(town.databaseUrlOf(name)), max: 1 });
      return [name, opened.adopt(look, (pool) => pool.end())] as const;
    }),
  );
  const count = async (of: DatabaseOwner, what: string, values: unknown[] = []) =>
    Number((await lookers.get(of)!.query<{ count: string }>(`select count(*) from ${what}`, values)).rows[0]!.count);

  // #region victims
  const process = (name: string): Victim => ({
    name,
    async kill(random) {
      const instances = town.names.filter((each) => each === name || each.startsWith(`${name}-`));
      const instance = instances[Math.floor(random() * instances.length)]!;
      await town.kill(instance);
      void town.start(instance).catch(() => {}); // killed again, before it was there
      return `kill -9 of ${instance}`;
    },
  });
  const services = [...new Set(town.names.map((name) => name.replace(/-\d+$/, '')))];
  const connections: Victim = {
    name: 'connections to Redis',
    async kill() {
      const { connections } = redis;
      redis.cut();
      return `${connections} connections to Redis cut`;
    },
  };
  const backends: Victim = {
    name: 'PostgreSQL backends',
    async kill(random) {
      const [of, look] = [...lookers][Math.floor(random() * lookers.size)]!;
      const { rows } = await look.query<{ pid: number }>(BACKENDS);
      const half = shuffled(rows, random).slice(0, Math.ceil(rows.length / 2));
      const pids = half.map(({ pid }) => pid);
      await look.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [pids]);
      return `${half.length} PostgreSQL backends of ${of} terminated`;
    },
  };
  // #endregion

  const isSettled = async (): Promise<boolean> => {
    const open = await count('order', 'food.orders where state <> all($1)', [FINAL_STATES]);
    const unsent = await Promise.all(OUTBOXES.map((of) => count(of, 'shop.outbox')));
    const { ready, delayed, leased } = await queue.depth();
    return [open, ...unsent, ready, delayed, leased].every((each) => each === 0);
  };

  const running = opened.move();
  return {
    url: town.url,
    books: Object.fromEntries(AUDITED.map((name) => [name, town.databaseUrlOf(name)])) as Books,
    ordered: new Set(),
    victims: (random) => shuffled([...services.map(process), connections, backends], random),
    async settled(ending) {
      while (!(await isSettled())) await pause(LOOK_MS, undefined, { signal: ending });
    },
    dead: async () => (await queue.depth()).dead,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const BACKENDS = `select pid from pg_stat_activity
  where datname = current_database() and backend_type = 'client backend' and application_name <> 'chaos'`;

/** Under a name of our own: not among those that are killed. */
function lookAt(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', 'chaos');
  return url.href;
}
