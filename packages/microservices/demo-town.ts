/**
 * The stage of the demo's second half: the town, each service a process with a database of its own; a Redis of theirs, to be killed;
 * and the lines between them that can be made to fail.
 */
import type { Stage } from '@patterns/kit/demo';
import type { Story } from '@patterns/kit/story';
import { type FaultProxy, type FaultProxyOptions, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { findPostgres } from '@patterns/services/postgres';
import { startRedis } from '@patterns/services/start-redis';
import pg from 'pg';
import { AUDITED, type Audited, type Books } from './audit.ts';
import { useTown } from './server.ts';
import { DATABASES } from './town-plan.ts';
import { startTraceCollector } from './trace-collector.ts';

/** Much longer than anything takes: the machine may be busy with other things. */
const PATIENCE_MS = 60_000;

/** A meal in two seconds: nobody wants to watch it cook. */
const PACE = { COOK_MS: '300', STEP_MS: '50', GATEWAY_MS: '50' };

export type DemoTown = Awaited<ReturnType<typeof openDemoTown>>;

/** @param onAsked sees what crosses from order to payment */
export async function openDemoTown({ story, signal, use }: Stage, onAsked?: (chunk: Buffer) => void) {
  const [postgres, redis, collector] = await Promise.all([
    findPostgres({ signal }),
    startRedis({ signal, persist: true }),
    startTraceCollector({ forwardTo: process.env.OTEL_EXPORTER_OTLP_ENDPOINT }),
  ]);
  for (const resource of [postgres, redis, collector]) use(resource);

  let isShown = true;
  const wire = httpWire({ story: shortened(story), client: 'customer', server: 'gateway', body: showBody });
  const onData: typeof wire.onData = (chunk, info) => isShown && wire.onData(chunk, info);
  const front = use(await startFaultProxy('http://127.0.0.1:1', { onData }));
  const line = async (to: string) => use(await startFaultProxy(to));
  const lines = {} as Record<'toPayment' | 'toProvider' | 'webhooks', FaultProxy>;
  const town = await useTown(use, {
    databaseUrl: postgres.url,
    redisUrl: redis.url,
    redisPrefix: 'demo:',
    userInstances: 2,
    signal,
    async env(urlOf) {
      const onData: FaultProxyOptions['onData'] = (chunk, { direction }) => direction === 'up' && onAsked?.(chunk);
      lines.toPayment = use(await startFaultProxy(urlOf('sidecar'), { onData })); // from order
      lines.toProvider = await line(urlOf('provider')); // from payment
      lines.webhooks = await line(urlOf('sidecar')); // from provider
      const everybody = { ...PACE, OTEL_EXPORTER_OTLP_ENDPOINT: collector.url };
      return {
        ...Object.fromEntries(MEMBERS.map((name) => [name, everybody])),
        order: { ...everybody, PAYMENT_URL: lines.toPayment.url, PAYMENT_TIMEOUT_MS: '500' },
        payment: { ...everybody, PROVIDER_URL: lines.toProvider.url, PUBLIC_URL: lines.webhooks.url },
      };
    },
  });
  front.target(town.url);
  const books = Object.fromEntries(AUDITED.map((name) => [name, town.databaseUrlOf(name)])) as Books;

  // Other towns on this server have services of the same names.
  const databases = DATABASES.map((name) => new URL(town.databaseUrlOf(name)).pathname.slice(1));

  return {
    town,
    redis,
    lines,
    books,
    collector,
    /** The gateway, by a line on which everything is shown until `sumUp`. */
    url: front.url,
    sumUp() {
      isShown = false;
    },
    wait: (what: string, condition: () => unknown) => until(what, condition, { withinMs: PATIENCE_MS, signal }),
    /** One number out of somebody's books. */
    count: (of: Audited, question: string) => ask(books[of], question),
    /** What the breaker of the order service before payment does: 1 is open. */
    async isBreakerOpen(): Promise<boolean> {
      const metrics = await (await fetch(`${town.urlOf('order')}/metrics`, { signal })).text();
      return /^dependency_breaker_open\{[^}]*dependency="payment"[^}]*\} 1$/m.test(metrics);
    },
    /** Ends every connection that a service has. @returns how many. */
    endConnections: () =>
      ask(
        postgres.url,
        `select count(pg_terminate_backend(pid))::int as n from pg_stat_activity
          where application_name = any('{${town.names.join(',')}}') and datname = any('{${databases.join(',')}}')`,
      ),
  };
}

/** Everybody whose pace is set, and who sends spans. */
const MEMBERS = ['user-1', 'user-2', 'kitchen', 'sidecar', 'notification', 'tracking', 'gateway'];

async function ask(url: string, question: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, application_name: 'demo' });
  client.on('error', () => {}); // the question that it broke rejects
  await client.connect();
  try {
    return (await client.query<{ n: number }>(question)).rows[0]?.n ?? 0;
  } finally {
    await client.end();
  }
}

/** A ticket is two hundred characters that nobody reads. */
function shortened(story: Story): Story {
  const wire: Story['wire'] = (from, to, text) => story.wire(from, to, text.replace(/(ticket=.{8})\S*/, '$1…'));
  return Object.create(story, { wire: { value: wire } });
}

/** Of what crosses, what a person would say of it. */
function showBody(line: string): string | undefined {
  const json = line.startsWith('data: ') ? line.slice('data: '.length) : line;
  try {
    const { type, state, metres, reason, total, items, password, access_token } = JSON.parse(json);
    if (type === 'courier') return `  the courier is ${metres} m away`;
    if (type === 'state') return `  ${state}${reason ? `: ${reason}` : ''}`;
    if (password) return '  a name and a password';
    if (access_token) return '  an access token, good for ten minutes';
    if (state) return `  ${state}, ${(total / 100).toFixed(2)}${reason ? `: ${reason}` : ''}`;
    if (items) return `  ${items.map((each: { quantity: number; dish: string }) => `${each.quantity} × ${each.dish}`)}`;
  } catch {}
  return undefined;
}
