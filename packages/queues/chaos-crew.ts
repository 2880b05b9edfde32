/**
 * Whom `chaos.ts` kills: two fronts and two workers, each restarted as soon as it is dead, and the connections that they have
 * to the broker and to PostgreSQL. And what it asks the database in the end.
 */
import { randomBytes } from 'node:crypto';
import { type Random, shuffled, type Victim } from '@patterns/kit/testing/chaos';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { findBackends, openQueues } from './backends.ts';
import { openDatabase } from './database.ts';

export interface CrewOptions {
  broker: string;
  env: Readonly<Record<string, string | undefined>>;
  stack: AsyncDisposableStack;
  say: (line: string) => void;
  signal: AbortSignal;
}

const ADDRESS: Record<string, string> = {
  redis: 'REDIS_URL',
  postgres: 'DATABASE_URL',
  rabbitmq: 'AMQP_URL',
  sqs: 'SQS_ENDPOINT',
};
const FRONTS = 2;
const WORKERS = 2;
/** Slow enough that a worker has much in hand at any moment: a kill is to hit something. Together they can do 1,000 a second. */
const AT_ONCE = 100;
const GATEWAY_MS = 200;
/** What a killed worker had in hand is away for so long. */
const LEASE_MS = 1_500;

export async function openCrew({ broker, env, stack, say, signal }: CrewOptions) {
  const about = (name: string, text: string) => say(`${name}: ${text}`);
  const direct = { ...env, ...(await findBackends(broker, stack, { signal, env, say: about })) };
  const address = ADDRESS[broker] ?? 'REDIS_URL';
  const own = { QUEUE_PREFIX: `chaos-${randomBytes(4).toString('hex')}-` };
  const { notifications } = await openQueues(broker, stack, { ...direct, ...own });
  const pool = stack.adopt(await openDatabase(direct.DATABASE_URL!, { size: 2 }), (each) => each.end());
  const proxy = stack.use(await startFaultProxy(direct[address]!));
  const common = { ...direct, ...own, [address]: proxy.url };

  // #region restart
  /** A place that is never empty for long. */
  function keep(name: string, file: string, more: Record<string, string>, onLine?: (line: string) => void) {
    const start = () =>
      startProcess(new URL(file, import.meta.url), {
        args: ['--broker', broker],
        env: { ...common, ...more },
        name,
        ...(onLine && { onLine }),
      });
    const place = { name, program: start() };
    stack.defer(() => place.program[Symbol.asyncDispose]());
    return Object.assign(place, {
      async replace() {
        await place.program.kill('SIGKILL');
        place.program = start();
      },
    });
  }
  // #endregion

  let repeated = 0;
  const worker = {
    LOG_LEVEL: 'info',
    LEASE_MS: String(LEASE_MS),
    NOTIFY_AT_ONCE: String(AT_ONCE),
    GATEWAY_MS: String(GATEWAY_MS),
    BACKOFF_MS: '100',
    MAX_ATTEMPTS: '25', // none is to be given up for having been killed often
  };
  const onLine = (line: string) => {
    if (line.includes('"message":"done"') && !line.includes('"attempt":1,')) repeated++;
  };
  const fronts = Array.from({ length: FRONTS }, (_, n) => keep(`front ${n + 1}`, 'server.ts', { LOG_LEVEL: 'error' }));
  const workers = Array.from({ length: WORKERS }, (_, n) => keep(`worker ${n + 1}`, 'worker.ts', worker, onLine));

  // #region victims
  const anyOf = <T>(all: readonly T[], random: Random) => all[Math.floor(random() * all.length)]!;
  const process = (name: string, places: readonly { name: string; replace(): Promise<void> }[]): Victim => ({
    name,
    async kill(random) {
      const place = anyOf(places, random);
      await place.replace();
      return `kill -9 of ${place.name}`;
    },
  });
  const victims: Victim[] = [
    process('worker', workers),
    process('front', fronts),
    {
      name: 'connections to the broker',
      async kill() {
        const { connections } = proxy;
        proxy.cut();
        return `${connections} connections to ${broker} cut`;
      },
    },
    {
      name: 'PostgreSQL backends',
      async kill(random) {
        const { rows } = await pool.query<{ pid: number }>(BACKENDS);
        const half = shuffled(rows, random).slice(0, Math.ceil(rows.length / 2));
        await pool.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [half.map(({ pid }) => pid)]);
        return `${half.length} PostgreSQL backends terminated`;
      },
    },
  ];
  // #endregion

  return {
    victims,
    /** The URL of a front, as soon as there is one. */
    front: (): Promise<string> =>
      (fronts[Math.floor(Math.random() * FRONTS)] as { program: ChildProgram }).program.url(),
    told: async () => Number((await pool.query('select count(*) from shop.messages')).rows[0].count),
    /** Resolves when nothing is under way any more. */
    settled: (ending: AbortSignal) =>
      until(
        'nothing is under way',
        async () => {
          const outbox = await pool.query('select from shop.outbox limit 1');
          const { ready, delayed, leased } = await notifications.depth();
          return outbox.rowCount === 0 && ready + delayed + leased === 0;
        },
        { withinMs: 2 ** 30, signal: ending },
      ),
    /** Ends all of them. @returns how many jobs were done that had been taken before. */
    async stop(): Promise<number> {
      await Promise.all([...fronts, ...workers].map(({ program }) => program[Symbol.asyncDispose]()));
      return repeated;
    },
    /** How many messages there are of each payment. */
    async count(): Promise<[id: string, messages: number][]> {
      const { rows } = await pool.query<{ id: string; messages: string }>(
        `select p.id, count(m.id) as messages from shop.payments p left join shop.messages m on m.payment = p.id group by p.id`,
      );
      return rows.map(({ id, messages }) => [id, Number(messages)]);
    },
    dead: async () => (await notifications.depth()).dead,
  };
}

const BACKENDS = `select pid from pg_stat_activity
  where datname = current_database() and backend_type = 'client backend' and pid <> pg_backend_pid()`;
