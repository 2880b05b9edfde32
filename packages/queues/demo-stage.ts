/**
 * The demo's stage: a front and workers as processes of their own, a proxy before the front that shows the wire, what the workers
 * log, and a look into the database, where it is counted what came of it all.
 */
import { randomBytes } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { type Backends, findBackends, openQueues } from './backends.ts';
import { removeQueue } from './brokers.ts';
import { openDatabase } from './database.ts';
import { NOTIFICATIONS, SUBMISSIONS } from './protocol.ts';
import type { Clause } from './queue.ts';

/** What a worker logs about a job. */
export interface Entry {
  readonly message: string;
  readonly kind?: string;
  readonly job?: string;
  readonly attempt?: number;
  readonly reason?: string;
  readonly workMs?: number;
}

export interface Worker {
  readonly program: ChildProgram;
  /** Takes the next entry of that name that was not taken yet. */
  saw(message: string, withinMs?: number): Promise<Entry>;
  /** While true its jobs are counted, and not told: thirty of them are not sixty lines. */
  quiet: boolean;
}

/** For whatever is waited for: a process takes seconds to start on a machine that has much to do. */
export const PATIENCE_MS = 40_000;

/** One for both halves: some brokers take ten seconds to start. */
let backends: Promise<Backends> | undefined;

/** @param capacity of each queue: all who open one must agree on it. */
export async function openStage({ story, signal, chosen, use, keep }: Stage, { capacity }: { capacity: number }) {
  const broker = chosen.broker!;
  const say = (name: string, about: string) => console.log(`  ${name.padEnd(10)}  ${about}\n`);
  backends ??= findBackends(broker, keep(new AsyncDisposableStack()), { signal, say });
  const server = { ...process.env, ...(await backends) };
  // A database and queue names of its own for each half: what one leaves behind is not the other's.
  const database = use(await createDatabase(server.DATABASE_URL!, 'queues_demo'));
  const env = {
    ...(await backends),
    DATABASE_URL: database.url,
    QUEUE_PREFIX: `demo-${randomBytes(4).toString('hex')}-`,
    QUEUE_CAPACITY: `${capacity}`,
    LOG_LEVEL: 'error',
  };
  const pool = await openDatabase(database.url, { size: 2 });
  use({ [Symbol.asyncDispose]: () => pool.end() });
  // The broker may be somebody else's, and outlive us; one of our own may be gone before us, after ^C.
  for (const name of [NOTIFICATIONS, SUBMISSIONS]) {
    const remove = () => removeQueue(broker, env.QUEUE_PREFIX + name, { ...server, ...env }).catch(() => {});
    use({ [Symbol.asyncDispose]: remove });
  }
  const queues = use(new AsyncDisposableStack());
  const { notifications } = await openQueues(broker, queues, { ...server, ...env }, capacity);

  const wire = httpWire({ story, client: 'customer', server: 'front', headers: ['location', 'retry-after'] });
  const proxy = use(await startFaultProxy('http://127.0.0.1:1', wire));
  const start = (file: string, args: string[], more: Record<string, string>, onLine?: (line: string) => void) =>
    use(
      startProcess(new URL(file, import.meta.url), {
        args: [...args, '--broker', broker],
        env: { ...env, ...more },
        signal,
        ...(onLine && { onLine }),
      }),
    );
  const count = async (query: string, values: unknown[] = []) =>
    Number((await pool.query<{ count: string }>(query, values)).rows[0]?.count);

  return {
    broker,
    notifications,
    /** Through the proxy that shows what crosses it. */
    url: proxy.url,
    start,
    /** Whether this broker promises all of these: what it does not promise, the demo does not claim. */
    promises: (...clauses: Clause[]) => clauses.every((clause) => notifications.guarantees[clause] === true),
    /** @returns the front's own address, that the proxy does not hear. */
    async open(file: string, more: Record<string, string> = {}): Promise<string> {
      const direct = await start(file, [], more).url(PATIENCE_MS);
      proxy.target(direct);
      return direct;
    },
    /** Starts a worker, and resolves when it waits for jobs. */
    async hire(actor: string, more: Record<string, string> = {}): Promise<Worker> {
      const entries = new EventQueue<Entry>();
      const onLine = (line: string) => {
        if (!line.startsWith('{')) return;
        const entry = JSON.parse(line) as Entry;
        entries.push(entry);
        const text = describe(entry);
        if (text && !worker.quiet) story.act(actor, text);
      };
      const worker: Worker = {
        program: start('worker.ts', [], { LOG_LEVEL: 'debug', ...more }, onLine),
        quiet: false,
        saw: (message, withinMs = PATIENCE_MS) =>
          entries.find(`"${message}" of ${actor}`, (entry) => entry.message === message, { withinMs }),
      };
      void worker.program.exited.then(() =>
        entries.close(new Error(`${actor} has ended:\n${worker.program.output()}`)),
      );
      await worker.saw('waiting for jobs');
      return worker;
    },
    /** Messages that a customer got, or that all got. */
    messages: (phone?: string) =>
      count('select count(*) from shop.messages where $1::text is null or phone = $1', [phone]),
    payments: (phone?: string) =>
      count('select count(*) from shop.payments where $1::text is null or phone = $1', [phone]),
    untold: () =>
      count(
        'select count(*) from shop.payments p where not exists (select from shop.messages m where m.payment = p.id)',
      ),
    until: <T>(what: string, condition: () => T | Promise<T>) =>
      until(what, condition, { withinMs: PATIENCE_MS, signal }),
  };
}

export type Shop = Awaited<ReturnType<typeof openStage>>;

function describe({ message, kind, attempt, job = '', reason, workMs }: Entry): string | undefined {
  const name = `${kind} ${job.slice(0, 8)}`;
  if (message === 'taken') return `takes ${name}, attempt ${attempt}`;
  if (message === 'done') return `has done ${name}, after ${workMs} ms`;
  if (message === 'retry') return `${name} failed, and is to come back later: ${reason}`;
  if (message === 'dead') return `gives ${name} up after ${attempt} attempts: ${reason}`;
  if (message === 'lost') return `its lease of ${name} was over: what it says about it counts no more`;
  if (message === 'released') return `gives ${name} back`;
  return undefined;
}
