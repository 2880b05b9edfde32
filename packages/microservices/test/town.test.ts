/** The whole town as somebody starts it by hand: one order on its way through all services, its trace, and ^C. */
import { mkdtempDisposable, readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { Redis } from 'ioredis';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { followOrder, logIn, placeOrder, signUp } from '../client.ts';
import { startTraceCollector } from '../trace-collector.ts';
import { missingParents, traceTree } from '../trace-tree.ts';

const ann = { name: 'ann', password: 'correct horse battery staple' };
const ramen = { items: [{ dish: 'ramen', quantity: 2 }], address: '1 Main Street' };
/** Who has a part in an order. */
const SERVICES = ['gateway', 'order', 'payment-sidecar', 'payment', 'notification', 'kitchen', 'tracking'];

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** The databases of the town that has this order. Other tests have towns too, on the same server. */
async function databasesOf(order: string): Promise<string[]> {
  const databases = await ask('select datname from pg_database');
  const isOwn = async (datname: string) => {
    const question = `select exists (select from ${datname.includes('_order_') ? 'food.orders where id' : 'payment.charges where order_id'} = $1) as own`;
    const answer = await ask(question, [order], datname).catch(() => []); // somebody else's, and gone by now
    return answer[0]?.own === true;
  };
  const named = databases
    .map(({ datname }) => String(datname))
    .filter((name) => /^patterns_(order|payment)_/.test(name));
  const own = await Promise.all(named.map(isOwn));
  return named.filter((_, i) => own[i]);
}

const thoseLeft = (databases: string[]) => ask('select datname from pg_database where datname = any($1)', [databases]);

async function ask(text: string, values: unknown[] = [], database?: string): Promise<Record<string, unknown>[]> {
  const url = new URL(inject('databaseUrl'));
  if (database) url.pathname = `/${database}`;
  const client = new pg.Client(url.href);
  client.on('error', () => {}); // the question that it broke rejects
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(text, values)).rows;
  } finally {
    await client.end();
  }
}

const title =
  'an order goes through all services, in one trace without a hole; who is killed comes back; ^C ends them all and leaves nothing';

requireRedis()('the town', () => {
  requirePostgres()('with databases of its own', () => {
    test(title, { timeout: 180_000 }, run);
  });
});

async function run() {
  await using stack = new AsyncDisposableStack();
  const backend = stack.use(await startTraceCollector());
  const collector = stack.use(await startTraceCollector({ forwardTo: backend.url }));
  const directory = stack.use(await mkdtempDisposable(join(tmpdir(), 'town-test-')));
  // A database of Redis that nobody else uses here: what is left there is the town's.
  const redis = stack.adopt(
    new Redis(new URL('/7', inject('redisUrl')).href),
    async (each) => void (await each.quit()),
  );
  const keysBefore = await redis.dbsize();
  const env = {
    DATABASE_URL: inject('databaseUrl'),
    REDIS_URL: new URL('/7', inject('redisUrl')).href,
    TMPDIR: directory.path,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    STEP_MS: '5',
    COOK_MS: '5',
    GATEWAY_MS: '5',
  };
  const town = stack.use(startProcess(new URL('../server.ts', import.meta.url), { env, name: 'the town' }));
  const url = await town.url(100_000);
  const who = await town.line(/^who is who: /);
  const pids = [...who.matchAll(/ (\d+)/g)].map(([, pid]) => Number(pid));
  expect(pids.length).toBeGreaterThanOrEqual(10);
  // Nobody else cooks: it must come back, or the order would never be delivered.
  process.kill(Number(/kitchen (\d+)/.exec(who)![1]), 'SIGKILL');

  await signUp(url, ann);
  const token = await logIn(url, ann);
  const placed = await placeOrder(url, token, ramen);
  expect(placed.total).toBe(2_600);
  const states: string[] = [];
  for await (const progress of followOrder(url, placed)) if (progress.type === 'state') states.push(progress.state);
  // On a busy machine the payment may be slow: that it is waited for is another test's.
  const expected = states.filter((state) => state !== 'awaiting-payment');
  expect(expected).toEqual(['placed', 'paid', 'cooking', 'on-the-way', 'delivered']);

  const spans = () => collector.spansOf(placed.traceId!);
  const services = () => [...new Set(spans().map(({ service }) => service))];
  const sent = { withinMs: 30_000 };
  const tree = () => traceTree(spans()).join('\n');
  // Each service sends its own spans, twice a second: what is named as a parent may come later than its child.
  await until('all services have sent theirs', () => SERVICES.every((service) => services().includes(service)), sent);
  const pushed = () => spans().filter(({ name }) => name === 'push state');
  await until('the last push has been sent', () => pushed().length >= states.length, sent);
  await until('no parent is missing', () => missingParents(spans()).length === 0, sent).catch((error) => {
    throw new Error(`${error.message}\n${tree()}`);
  });
  expect(spans().filter(({ parentId }) => parentId === undefined)).toMatchObject([{ name: 'POST /orders' }]);
  expect(spans().some(({ name, service }) => service === 'payment' && name === 'POST /webhooks')).toBe(true);
  expect(tree()).toContain('└─ order: POST /orders');
  await until(
    'the back end behind it has them as well',
    () => backend.spansOf(placed.traceId!).length === spans().length,
  );

  const databases = await databasesOf(placed.id);
  expect(databases).toHaveLength(2);
  expect(await redis.dbsize()).toBeGreaterThan(keysBefore);
  // What a terminal does: everybody gets it.
  for (const pid of [town.pid, ...pids].filter(isAlive)) process.kill(pid, 'SIGINT');
  expect(await town.exited).toMatchObject({ code: 0 });
  expect(pids.filter(isAlive)).toEqual([]);
  expect(await thoseLeft(databases)).toEqual([]);
  expect(await redis.dbsize()).toBe(keysBefore);
  expect(await readdir(directory.path)).toEqual([]);
  expect(town.output()).not.toContain('Error');
}
