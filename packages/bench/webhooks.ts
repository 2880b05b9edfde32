/**
 * What a signature costs: signing and verifying beside the bare HMACs of node:crypto and beside the packages that most people
 * take; and what a delivery costs as a whole, from the row in the outbox to the answer that is written down.
 */
import { randomBytes } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { createProvider } from '@patterns/webhooks/provider-database';
import { newSecret } from '@patterns/webhooks/signature';
import pg from 'pg';
import { startChild } from './processes.ts';
import { describeMachine, type Results, type Table, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';
import type { Dispatcher, Receiver } from './webhooks-delivery.ts';
import type { Contestant, Message, Signer } from './webhooks-signer.ts';

const SIZES = {
  full: { rounds: 9, durationMs: 200, deliveryRounds: 5, webhooks: 10_000 },
  quick: { rounds: 3, durationMs: 50, deliveryRounds: 1, webhooks: 2_000 },
  tiny: { rounds: 1, durationMs: 2, deliveryRounds: 1, webhooks: 50 },
};

const BARE = 'bare node:crypto';
const NAMES: readonly Contestant[] = [BARE, 'ours', 'standardwebhooks', 'svix', 'bare, the key as bytes'];
/** An event of ours has some 250 bytes, with a line or two about what was bought a thousand. */
const BODIES = [256, 1_024, 16_384];

const ENDPOINTS = { 'one endpoint': 1, 'ten endpoints': 10 };

/** Reports what `ours` costs beside its peers. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const size = options.size ?? 'full';
  const { rounds } = SIZES[size];
  const { noise, ratio, table } = await signatures(options);
  return {
    bench: 'webhooks',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('standardwebhooks', 'svix', 'pg'),
    rounds,
    noise,
    tables: [table, await deliveries(options)],
    targets: BODIES.map((bytes) => ({
      claim: `CPU per sign and verify of ${bytes.toLocaleString('en')} bytes, ours ÷ ${BARE}`,
      unit: '×',
      measured: ratio('ours', BARE, String(bytes)),
      atMost: 1.2,
    })),
  };
}

// #region signatures
async function signatures(options: BenchOptions) {
  const { rounds: count, durationMs } = SIZES[options.size ?? 'full'];
  await using stack = new AsyncDisposableStack();
  const file = new URL('webhooks-signer.ts', import.meta.url);
  const signers = new Map(NAMES.map((name) => [name, stack.use(startChild<Signer>(file, { args: [name] }))]));
  const id = `evt_${randomBytes(16).toString('hex')}`;
  const secret = newSecret();
  const messageOf = (bytes: number): Message => ({
    secret,
    id,
    timestampSeconds: Math.floor(Date.now() / 1_000),
    bytes,
  });

  for (const bytes of BODIES) {
    const message = messageOf(bytes);
    const signed = await Promise.all(signers.values().map((signer) => signer.ask('sign', message)));
    if (new Set(signed).size > 1) throw new Error(`they do not sign the same: ${signed.join(' ')}`);
  }
  const measure = async (name: Contestant) => {
    const nanos: Record<string, number> = {};
    for (const bytes of BODIES)
      nanos[bytes] = await signers.get(name)!.ask('run', { message: messageOf(bytes), durationMs });
    return nanos;
  };
  const rounds = await runRounds(count, NAMES, measure, options);
  const table: Table = {
    title: 'Signing a body and verifying it, once each',
    columns: BODIES.map((bytes) => `${bytes.toLocaleString('en')} bytes, CPU ns`),
    rows: NAMES.map((name) => ({ name, cells: BODIES.map((bytes) => rounds.of(name, String(bytes))) })),
    note: 'All make the same signature, byte for byte, and get the body as bytes; none parses it. Bare is two HMACs and a comparison, and looks at no header and no clock.',
  };
  return { noise: rounds.noise, ratio: rounds.ratio, table };
}
// #endregion

// #region deliveries
async function deliveries(options: BenchOptions): Promise<Table> {
  const { deliveryRounds, webhooks } = SIZES[options.size ?? 'full'];
  const { say, signal } = options;
  await using stack = new AsyncDisposableStack();
  const postgres = stack.use(await findPostgres({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const { url } = stack.use(await createDatabase(postgres.url, 'bench'));
  await createProvider(url);
  const db = stack.adopt(new pg.Pool({ connectionString: url, max: 1 }), (pool) => pool.end());
  const file = new URL('webhooks-delivery.ts', import.meta.url);
  const receiver = stack.use(startChild<Receiver>(file, { args: ['receiver'] }));
  const dispatcher = stack.use(startChild<Dispatcher>(file, { args: ['dispatcher'] }));
  await dispatcher.ask('start', url);
  const receiverUrl = await receiver.ask('url', undefined);
  const body = JSON.stringify({ id: 'evt_1', type: 'payment.succeeded', data: 'a'.repeat(200) });
  const cpu = async () => (await dispatcher.ask('usage', { collect: false })).cpuMicros;

  const names = Object.keys(ENDPOINTS) as (keyof typeof ENDPOINTS)[];
  const rounds = await runRounds(deliveryRounds, names, measure, options);
  const figures = { rate: 'webhooks per second', cpuMicros: 'dispatcher CPU per webhook, µs' } as const;
  return {
    title: `From the outbox to the answer that is written down: ${webhooks.toLocaleString('en')} webhooks, one dispatcher`,
    columns: Object.values(figures),
    rows: names.map((name) => ({
      name,
      cells: (Object.keys(figures) as (keyof typeof figures)[]).map((figure) => rounds.of(name, figure)),
    })),
    note: `Median of ${deliveryRounds} rounds. The consumer answers 204 at once; it and PostgreSQL are on the same cores.`,
  };

  async function measure(name: keyof typeof ENDPOINTS) {
    const endpoints = ENDPOINTS[name];
    await receiver.ask('forget', undefined);
    await db.query('truncate provider.deliveries, provider.events, provider.endpoints');
    for (let n = 0; n < endpoints; n++) {
      await db.query('insert into provider.endpoints (id, url, secret) values ($1, $2, $3)', [
        `ep_${n}`,
        `${receiverUrl}/${n}`,
        newSecret(),
      ]);
    }
    const cpuBefore = await cpu();
    const startedAt = performance.now();
    await db.query(
      `insert into provider.events (id, type, body, at)
       select 'evt_' || n, 'payment.succeeded', $1, now() from generate_series(1, $2::int) n`,
      [body, webhooks / endpoints],
    );
    await db.query('notify provider_events');
    while ((await receiver.ask('received', undefined)) < webhooks || !(await isWrittenDown())) {
      await pause(10, undefined, { ...(signal && { signal }) });
    }
    const seconds = (performance.now() - startedAt) / 1_000;
    return { rate: webhooks / seconds, cpuMicros: ((await cpu()) - cpuBefore) / webhooks };
  }

  async function isWrittenDown(): Promise<boolean> {
    return (await db.query(`select from provider.deliveries where state = 'pending' limit 1`)).rowCount === 0;
  }
}
// #endregion
