/**
 * Who takes orders in the microservices benchmark: one process, the textbook's three services in a row, and the town, asked by its
 * gateway and behind it. In each but the first there is a line between order and payment that can be made slow.
 */
import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { logIn, signUp } from '@patterns/microservices/client';
import { NAIVE_SCHEMA, type NaiveService } from '@patterns/microservices/naive';
import { FINAL_STATES } from '@patterns/microservices/protocol';
import pg from 'pg';
import { startOwnTown } from './microservices-town.ts';

export const ONE = 'one process, one transaction';
export const NAIVE = 'naive, three services in a row';
export const BEHIND = 'the town, behind the gateway';
export const TOWN = 'the town, through the gateway';

export interface Contestant {
  url: string;
  /** As they are now: a service's token is good for a minute. */
  headers: () => Record<string, string>;
  body: string;
  /** Who takes part, by name. */
  processes: () => Record<string, number>;
  toPayment?: FaultProxy;
  /** Resolves when nothing is under way any more. */
  settled: () => Promise<void>;
}

export interface Ground {
  stack: AsyncDisposableStack;
  databaseUrl: string;
  redisUrl: string;
  redisPrefix: string;
  signal?: AbortSignal | undefined;
}

const START_MS = 60_000;
const file = (name: string) => new URL(import.meta.resolve(`@patterns/microservices/${name}`));
const simple = {
  headers: () => ({}),
  body: JSON.stringify({ customer: 'ann', total: 1_000 }),
  settled: async () => {},
};

export async function startOne({ stack, databaseUrl }: Ground): Promise<Contestant> {
  const program = new URL('microservices-monolith.ts', import.meta.url);
  const child = stack.use(startProcess(program, { env: { DATABASE_URL: databaseUrl } }));
  return { ...simple, url: await child.url(START_MS), processes: () => ({ 'the process': child.pid }) };
}

export async function startNaive({ stack, databaseUrl }: Ground): Promise<Contestant> {
  await ask(databaseUrl, NAIVE_SCHEMA);
  const pids: Record<string, number> = {};
  const start = async (name: NaiveService, nextUrl = '') => {
    const env = { DATABASE_URL: databaseUrl, NEXT_URL: nextUrl };
    const child = stack.use(startProcess(file('naive'), { args: [name], env }));
    pids[name] = child.pid;
    return await child.url(START_MS);
  };
  const payment = await start('payment', await start('notification'));
  const toPayment = stack.use(await startFaultProxy(payment));
  return { ...simple, url: await start('order', toPayment.url), processes: () => pids, toPayment };
}

/** @returns the town twice: through its gateway, and behind it. */
export async function startTowns({ stack, ...ground }: Ground): Promise<[through: Contestant, behind: Contestant]> {
  const { town, toPayment, tokenOfGateway } = stack.use(await startOwnTown(ground));
  const customer = { name: randomUUID(), password: randomUUID() };
  await signUp(town.url, customer);
  const token = await logIn(town.url, customer);
  const { sub } = JSON.parse(Buffer.from(token.split('.')[1]!, 'base64url').toString()) as { sub: string };
  const open = 'select count(*)::int as n from food.orders where state <> all($1)';
  const common = {
    body: JSON.stringify({ items: [{ dish: 'pizza', quantity: 1 }], address: '1 Main Street' }),
    processes: () => Object.fromEntries(town.names.map((name) => [name, town.pidOf(name)])),
    toPayment,
    async settled() {
      while ((await ask(town.databaseUrlOf('order'), open, [FINAL_STATES])) > 0)
        await pause(50, undefined, ground.signal && { signal: ground.signal });
    },
  };
  const bearer = (value: string) => ({ Authorization: `Bearer ${value}` });
  return [
    { ...common, url: town.url, headers: () => bearer(token) },
    { ...common, url: town.urlOf('order'), headers: () => bearer(tokenOfGateway('order', sub)) },
  ];
}

async function ask(url: string, question: string, values?: unknown[]): Promise<number> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query(question, values)).rows?.[0]?.n;
  } finally {
    await client.end();
  }
}

/** Processor time so far of a process, in milliseconds, in steps of 10. Undefined where there is no /proc: anywhere but on Linux. */
export function cpuMsOf(pid: number): number | undefined {
  if (process.platform !== 'linux') return undefined;
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)!.split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10; // utime and stime, in hundredths of a second [proc_pid_stat(5)]
}
