/**
 * Whom `chaos.ts` kills: two dispatchers and a shop, each started again as soon as it is gone, and the PostgreSQL backends of
 * both databases. And what it asks those databases in the end.
 */

import { createLog } from '@patterns/kit/log';
import { type Random, shuffled, type Victim } from '@patterns/kit/testing/chaos';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import pg from 'pg';
import { openPool } from './database.ts';
import { startProvider } from './provider.ts';
import { createProvider } from './provider-database.ts';

const DISPATCHERS = 2;
/** A minute of the schedule is 60 ms, and the ten attempts are over in some four minutes: longer than a run. */
const TIME_FACTOR = 0.001;
/** Of an attempt; the lease is twice that, and what a killed dispatcher had in hand is away for so long. */
const TIMEOUT_MS = 1_500;
/** For a process to listen, on a machine on which much else is going on. */
const START_MS = 60_000;
const LOOK = 'chaos'; // the one connection that nobody kills

export async function openCrew(env: Readonly<Record<string, string | undefined>>, stack: AsyncDisposableStack) {
  const serverUrl = env.DATABASE_URL;
  if (!serverUrl) throw new Error('DATABASE_URL is not set');
  const [provider, shop] = [await openSide('provider'), await openSide('shop')];
  await createProvider(provider.url);
  const payments = stack.adopt(openPool({ url: provider.url, size: 8 }), (each) => each.end());
  const log = createLog('chaos');
  log.silent = true;
  const api = stack.use(await startProvider({ databaseUrl: provider.url, allow: ['127.0.0.1'], log }));
  // The shop keeps its address, whichever process answers there.
  const proxy = stack.use(await startFaultProxy('http://127.0.0.1:9'));

  async function openSide(name: string) {
    const { url } = stack.use(await createDatabase(serverUrl!, `chaos_${name}`));
    const look = stack.adopt(new pg.Pool({ connectionString: url, max: 2, application_name: LOOK }), (each) =>
      each.end(),
    );
    return { name, url, look };
  }

  // #region restart
  let isOver = false;
  /** A place that is never empty for long. */
  function keep(
    name: string,
    file: string,
    args: string[],
    more: Record<string, string>,
  ): { name: string; kill(): Promise<unknown> } {
    let program: ChildProgram;
    const start = () => {
      program = startProcess(new URL(file, import.meta.url), {
        args,
        env: { ...env, LOG_LEVEL: 'error', ...more },
        name,
      });
      void program.exited.then(() => isOver || start());
      if (file === 'consumer.ts')
        void program.url(START_MS).then(
          (url) => proxy.target(url),
          () => {},
        ); // killed before it listened
    };
    start();
    stack.defer(async () => {
      isOver = true;
      await program[Symbol.asyncDispose]();
    });
    return { name, kill: () => program.kill('SIGKILL') };
  }
  // #endregion

  const settings = {
    WEBHOOK_ALLOW: '127.0.0.1',
    WEBHOOK_TIME_FACTOR: String(TIME_FACTOR),
    WEBHOOK_TIMEOUT_MS: String(TIMEOUT_MS),
  };
  const dispatchers = Array.from({ length: DISPATCHERS }, (_, n) =>
    keep(`dispatcher ${n + 1}`, 'dispatcher.ts', [], { ...settings, DATABASE_URL: provider.url }),
  );
  const consumer = keep('the shop', 'consumer.ts', [api.url], {
    DATABASE_URL: shop.url,
    PUBLIC_URL: proxy.url,
    WORKERS: '8',
  });

  // #region victims
  const oneOf = (name: string, places: readonly { name: string; kill(): Promise<unknown> }[]): Victim => ({
    name,
    async kill(random) {
      const place = places[Math.floor(random() * places.length)]!;
      await place.kill();
      return `kill -9 of ${place.name}`;
    },
  });
  const halfOf = (side: typeof shop): Victim => ({
    name: `PostgreSQL backends of the ${side.name}`,
    async kill(random: Random) {
      const { rows } = await side.look.query<{ pid: number }>(BACKENDS, [LOOK]);
      const half = shuffled(rows, random).slice(0, Math.ceil(rows.length / 2));
      await side.look.query('select pg_terminate_backend(pid) from unnest($1::int[]) pid', [
        half.map(({ pid }) => pid),
      ]);
      return `${half.length} PostgreSQL backends of the ${side.name} terminated`;
    },
  });
  const victims = [oneOf('dispatcher', dispatchers), oneOf('shop', [consumer]), halfOf(provider), halfOf(shop)];
  // #endregion

  const count = async (side: typeof shop, what: string) =>
    Number((await side.look.query<{ count: string }>(`select count(*) from ${what}`)).rows[0]!.count);

  return {
    victims,
    /** The provider's own connections: killed like the others. */
    payments,
    isRegistered: async () => (await count(provider, 'provider.endpoints')) > 0,
    effects: () => count(shop, 'shop.ledger'),
    isQuiet: async (): Promise<boolean> => {
      const left = await Promise.all([
        count(provider, 'provider.events where position is null'),
        count(provider, `provider.deliveries where state = 'pending'`),
        count(shop, 'shop.inbox where outcome is null'),
      ]);
      return left.every((each) => each === 0);
    },
    dead: () => count(provider, `provider.deliveries where state = 'dead'`),
    attempts: async () =>
      Number((await provider.look.query('select sum(attempts) as attempts from provider.deliveries')).rows[0].attempts),
    events: async () =>
      (await provider.look.query<{ id: string }>('select id from provider.events')).rows.map(({ id }) => id),
    /** How many times each event has had its effect. */
    async booked(): Promise<Map<string, number>> {
      const { rows } = await shop.look.query<{ event: string; times: number }>(
        'select event, count(*)::int as times from shop.ledger group by event',
      );
      return new Map(rows.map(({ event, times }) => [event, times]));
    },
  };
}

const BACKENDS = `select pid from pg_stat_activity
  where datname = current_database() and backend_type = 'client backend' and application_name <> $1`;
