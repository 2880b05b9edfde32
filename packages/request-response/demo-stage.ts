/**
 * The demo's stage: servers and clients as processes of their own, a proxy between them that shows the wire and can lose what
 * is on it, and a look into the kitchen, which is the database.
 */
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { findPostgres } from '@patterns/services/postgres';
import pg from 'pg';

const HEADERS = ['idempotency-key', 'if-none-match', 'idempotent-replayed', 'etag', 'location', 'retry-after'];

export async function openRestaurant({ story, signal, use }: Stage, files: { server: string; client: string }) {
  const postgres = use(await findPostgres({ signal }));
  const pool = new pg.Pool({ connectionString: postgres.url, max: 2 });
  pool.on('error', () => {});
  use({ [Symbol.asyncDispose]: () => pool.end() });
  const count = async (query: string) => Number((await pool.query<{ count: string }>(query)).rows[0]?.count);
  const kitchen = {
    /** Orders that are committed. */
    meals: () => count('select count(*) from restaurant.orders'),
    /** Orders that are being cooked: the statements that run now in this database. */
    cooking: () =>
      count(
        `select count(*) from pg_stat_activity where datname = current_database() and state = 'active'
         and query like '%pg_sleep%' and pid <> pg_backend_pid()`,
      ),
  };

  const wire = httpWire({ story, client: 'client', server: 'server', headers: HEADERS });
  const proxy = use(await startFaultProxy('http://127.0.0.1:1', wire));
  const start = (file: string, args: string[], env: Record<string, string>): ChildProgram =>
    use(
      startProcess(new URL(file, import.meta.url), {
        args,
        env: { DATABASE_URL: postgres.url, LOG_LEVEL: 'warn', NOTICE_MS: '0', ...env },
        signal,
      }),
    );
  /** The last line that a guest prints: how it ended. Of one that ^C ended there is nothing to tell. */
  const ending = async (guest: ChildProgram): Promise<string> => {
    await guest.exited;
    signal.throwIfAborted();
    return guest.lines.items.at(-1) ?? '';
  };
  const guest = (args: string[], env: Record<string, string> = {}) => start(files.client, args, env);

  return {
    url: proxy.url,
    kitchen,
    ending,
    requests: () => wire.requests,
    /** Starts a server, and sends the guests there. */
    async open(kitchenMs: number) {
      const server = start(files.server, [], { KITCHEN_MS: `${kitchenMs}` });
      const direct = await server.url();
      proxy.target(direct);
      return { server, direct };
    },
    /** A guest reads the menu, orders, and looks the order up. */
    visit: () => ending(guest([proxy.url])),
    /** Starts a guest who only orders. */
    order: (env?: Record<string, string>, url = proxy.url) => guest([url, 'order'], env),
    /** An order whose answer is lost, after it was committed. @returns the meals cooked for it. */
    async loseTheAnswer(): Promise<number> {
      const before = await kitchen.meals();
      proxy.stall('down');
      const client = guest([proxy.url, 'order']);
      await until('the order is committed', async () => (await kitchen.meals()) > before, { signal });
      story.act('kitchen', 'the order is committed, the answer is on its way');
      story.fault('the connection is cut: the answer is lost');
      proxy.cut();
      proxy.flow();
      story.act('client', await ending(client));
      return (await kitchen.meals()) - before;
    },
  };
}
