/**
 * The demo's stage: a provider and a shop, each a process with a database of its own; the lines between them, which show what
 * crosses and can be made to fail; an attacker; and a look into the shop's books (demo-books.ts).
 */
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { openPool } from './database.ts';
import { openBooks } from './demo-books.ts';
import { ENDPOINTS, EVENTS, PAYMENTS, type PaymentEvent, type PaymentState, WEBHOOKS } from './protocol.ts';
import { createShop } from './shop-database.ts';

/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

interface Endpoint {
  readonly id: string;
  readonly pending: number;
  /** Attempts. */
  readonly failed: number;
}

export type Market = Awaited<ReturnType<typeof openMarket>>;

export async function openMarket({ story, signal, use }: Stage) {
  const postgres = use(await findPostgres({ signal }));
  const databases = { provider: use(await createDatabase(postgres.url, 'provider')).url, shop: '' };
  databases.shop = use(await createDatabase(postgres.url, 'shop')).url;
  await createShop(databases.shop);
  const pool = openPool({ url: databases.shop, size: 2, statementMs: 10_000 });
  use({ [Symbol.asyncDispose]: () => pool.end() });

  let isShown = true;
  let refused = 0;
  const tap = async (client: string, server: string, headers: string[] = []) => {
    const wire = httpWire({ story, client, server, headers, body: showBody });
    const onData: typeof wire.onData = (chunk, info) => {
      if (chunk.toString('latin1').startsWith('HTTP/1.1 401')) refused++;
      if (isShown || client === 'shop') wire.onData(chunk, info);
    };
    return use(await startFaultProxy('http://127.0.0.1:1', { onData }));
  };
  const line = await tap('provider', 'shop', ['webhook-id']);
  const attackersLine = await tap('attacker', 'shop');
  const api = await tap('shop', 'provider');
  let provider = '';

  const start = (file: string, args: string[], env: Record<string, string>): ChildProgram =>
    use(startProcess(new URL(file, import.meta.url), { args, env: { LOG_LEVEL: 'error', ...env }, signal }));
  const json = async (path: string, body?: object) => {
    const init = body && {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    };
    const response = await fetch(provider + path, { ...init, signal });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as unknown;
  };

  return {
    ...openBooks(pool, signal),
    line,
    api,
    json,
    /** Starts a provider; payments are made there from now on. */
    async openProvider(file: string, args: string[], env: Record<string, string>): Promise<ChildProgram> {
      const program = start(file, args, { DATABASE_URL: databases.provider, ...env });
      provider = await program.url(START_MS);
      api.target(provider);
      return program;
    },
    /** Starts a shop; webhooks arrive there from now on. */
    async openShop(file: string, args: string[] = [], env: Record<string, string> = {}): Promise<ChildProgram> {
      const program = start(file, args, { DATABASE_URL: databases.shop, PUBLIC_URL: line.url, ...env });
      const url = await program.url(START_MS);
      if (args.length > 0) await program.line(/^registered/, { withinMs: START_MS });
      line.target(url);
      attackersLine.target(url);
      return program;
    },
    /** Runs a command of the shop's to its end. @returns its last line. */
    async command(file: string, args: string[], env: Record<string, string>): Promise<string> {
      const program = start(file, args, { DATABASE_URL: databases.shop, ...env });
      await program.exited;
      return program.lines.items.at(-1) ?? '';
    },
    async pay(amount = 4_200): Promise<string> {
      const { payment } = (await json(PAYMENTS, { amount })) as PaymentState;
      if (isShown) story.act('provider', `payment ${short(payment)}: ${cents(amount)}`);
      return payment;
    },
    async refund(payment: string): Promise<void> {
      await json(`${PAYMENTS}/${payment}/refund`, {});
      story.act('provider', `payment ${short(payment)} is refunded`);
    },
    /** The attacker sends something, past nobody but the shop. @returns the status. */
    async attack(body: string, headers: Record<string, string> = {}): Promise<number> {
      const init = { method: 'POST', headers: { 'Content-Type': 'application/json', ...headers }, body, signal };
      const response = await fetch(attackersLine.url + WEBHOOKS, init);
      await response.arrayBuffer();
      return response.status;
    },
    /** Requests that were answered 401. */
    refused: () => refused,
    /** Does without the wire's lines: sixty of a kind say no more than one. */
    async unseen<T>(work: () => Promise<T>): Promise<T> {
      isShown = false;
      return await work().finally(() => {
        isShown = true;
      });
    },
    /** What the provider knows of the shop. */
    async endpoint(): Promise<Endpoint> {
      const { endpoints } = (await json(ENDPOINTS)) as { endpoints: [Endpoint] };
      return endpoints[0];
    },
    /** Waits until nothing is left to be told. */
    async untilDelivered(): Promise<void> {
      await until('all is delivered', async () => (await this.endpoint()).pending === 0, {
        signal,
        withinMs: START_MS,
      });
    },
    /** Call it, and it waits until one more attempt has failed than had when it was made. */
    async nextFailure(): Promise<() => Promise<void>> {
      const { failed } = await this.endpoint();
      return async () => {
        await until('an attempt has failed', async () => (await this.endpoint()).failed > failed, { signal });
      };
    },
    /** The latest event of a payment, as the provider has it. */
    async eventOf(payment: string): Promise<PaymentEvent> {
      const { events } = (await json(`${EVENTS}?limit=1000`)) as { events: PaymentEvent[] };
      return events.findLast(({ data }) => data.payment === payment)!;
    },
  };
}

/** An event as a person says it; of other bodies what fits. */
function showBody(line: string): string | undefined {
  try {
    const { type, data, events } = JSON.parse(line);
    if (events) return `${events.length} events`;
    return `  ${type}  ${short(data.payment)} version ${data.version}, ${cents(data.amount)}`;
  } catch {
    return undefined;
  }
}

const short = (id: string) => id.slice(0, 10);
const cents = (amount: number) => (amount / 100).toFixed(2);
