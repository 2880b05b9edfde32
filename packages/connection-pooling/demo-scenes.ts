/** The scenes that both halves of the demo play, each on the server that it is given; and the table at the end. */
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { type Burst, burst } from './burst.ts';
import { getUsers, postTransfer } from './client.ts';
import { type BankStage, MAX_CONNECTIONS, type Served } from './demo-stage.ts';
import { TRANSFERS, USERS } from './protocol.ts';
import { replicasAllowed } from './sizing.ts';

export async function readAtOnce({ story }: Stage, bank: BankStage, part: string, { url }: Served): Promise<Burst> {
  story.wire('client', 'server', `200 × GET ${USERS}, at the same time`);
  const { result, most } = await bank.mostBackends(burst(200, () => getUsers(url)));
  story.act('PostgreSQL', `${most} backends at most, of ${MAX_CONNECTIONS}`);
  story.wire('server', 'client', result.summary);
  story.measure(part, {
    '200 at once: answered': result.outcomes.get('answered') ?? 0,
    '  refused': 200 - (result.outcomes.get('answered') ?? 0),
    '  p50': `${result.p50Ms} ms`,
    '  p99': `${result.p99Ms} ms`,
    '  backends at most': most,
  });
  return result;
}

/**
 * Sends requests while the table is locked, until each has either been refused or got a connection, on which it waits. So
 * who holds what does not depend on the speed of the machine. Then the table is free.
 */
async function whileLocked(
  { story }: Stage,
  bank: BankStage,
  { what, count, size, call }: { what: string; count: number; size: number; call: (n: number) => Promise<unknown> },
): Promise<{ result: Burst; connected: number }> {
  await using lock = await bank.lockTable();
  story.fault('a migration locks the table for a moment');
  story.wire('client', 'server', `${count} × ${what}, at the same time`);
  let refused = 0;
  const reads = burst(count, (n) =>
    call(n).catch((error: unknown) => {
      refused++;
      throw error;
    }),
  );
  const connected = await until('every request waits for the table or has been refused', async () => {
    const waiting = await bank.waiting();
    return waiting >= size || waiting + refused >= count ? waiting : 0;
  });
  story.act('PostgreSQL', `${connected} backends wait for the table, which is free now`);
  await lock[Symbol.asyncDispose]();
  const result = await reads;
  story.wire('server', 'client', result.summary);
  return { result, connected };
}

/** More readers than the server has connections. */
export async function readAtLimit(stage: Stage, bank: BankStage, part: string, { url, size }: Served): Promise<Burst> {
  const { result, connected } = await whileLocked(stage, bank, {
    what: `GET ${USERS}`,
    count: 80,
    size,
    call: () => getUsers(url),
  });
  stage.story.measure(part, {
    '80 at once, table locked: connected': connected,
    '  refused at the limit': result.outcomes.get('500') ?? 0,
  });
  return result;
}

export async function readLockedTable(
  { story }: Stage,
  bank: BankStage,
  { url, shownUrl }: Served,
  timeoutMs: number,
): Promise<Burst> {
  await using lock = await bank.lockTable();
  story.fault(`another migration locks the table, and takes its time`);
  story.wire('client', 'server', `30 × GET ${USERS}, one of them shown`);
  const result = await burst(30, (n) => getUsers(n === 0 ? shownUrl : url, { attempts: 1, timeoutMs }));
  story.wire('server', 'client', result.summary);
  await lock[Symbol.asyncDispose]();
  story.act('PostgreSQL', 'the migration is over');
  // Nobody waits for these answers any more, but the server may still be at work on them. One that queued behind them all is
  // answered, and the last of them is done: then the next scene finds every client free.
  await getUsers(url);
  await until('the server has caught up', async () => (await bank.working()) === 0);
  return result;
}

/** Fifty transfers, of which as many hold a client as there are. */
export async function transferAtOnce(
  stage: Stage,
  bank: BankStage,
  { url, size }: Served,
  timeoutMs: number,
): Promise<Burst> {
  const from = (n: number) => (n % 25) * 2 + 1;
  const call = (n: number) => postTransfer(url, { from: from(n), to: from(n) + 1, amount: 1 }, { timeoutMs });
  return (await whileLocked(stage, bank, { what: `POST ${TRANSFERS}`, count: 50, size, call })).result;
}

export async function refuseTransfers({ story }: Stage, { url }: Served, count: number): Promise<void> {
  story.wire('client', 'server', `${count} × POST ${TRANSFERS} of more than there is`);
  const { summary } = await burst(count, () => postTransfer(url, { from: 1, to: 2, amount: 1_000_000 }));
  story.wire('server', 'client', summary);
}

export async function readOnce({ story }: Stage, { shownUrl }: Served, timeoutMs: number): Promise<string> {
  const { outcomes } = await burst(1, () => getUsers(shownUrl, { attempts: 1, timeoutMs }));
  const [outcome = ''] = outcomes.keys();
  if (outcome === 'no answer') story.act('client', `no answer in ${timeoutMs} ms: gives up`);
  return outcome;
}

export async function endIdle({ story }: Stage, bank: BankStage): Promise<number> {
  const count = await bank.endBackends();
  story.fault(`PostgreSQL ends the idle connections (${count}), as in a restart or a failover`);
  return count;
}

export async function restart({ story }: Stage, bank: BankStage, { program, size }: Served): Promise<Served> {
  story.act('server', 'is killed and started again');
  await program.kill();
  return bank.serve('naive-pool.ts', size);
}

export interface Outcomes {
  locked: Burst;
  transfers: Burst;
  leaked: string;
  ended: string;
}

export async function report(
  { story }: Stage,
  bank: BankStage,
  part: string,
  size: number,
  outcomes: Outcomes,
): Promise<void> {
  const { locked, transfers, leaked, ended } = outcomes;
  const connections = await bank.connectionsForAll();
  story.measure(part, {
    '30 at once, locked for long: told so': locked.outcomes.get('503') ?? 0,
    '  no answer': locked.outcomes.get('no answer') ?? 0,
    '50 transfers at once: done': transfers.outcomes.get('answered') ?? 0,
    'a read after 20 refusals': leaked,
    'idle connections ended': ended,
    'connections for each replica': size,
    [`  replicas that ${connections} connections allow`]: replicasAllowed(size, {
      maxConnections: connections,
      reserved: 0,
    }),
  });
}
