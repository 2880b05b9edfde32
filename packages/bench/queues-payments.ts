/**
 * Payments of the queues benchmark, in a process of its own: `queues-payments.ts direct|queued <url of a Redis>`. Each takes `WORK_MS`
 * of a system that does so many at a time, and it is done before the answer, or by a worker after it.
 */
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { newJob, QueueError } from '@patterns/queues/job';
import { openRedisQueue } from '@patterns/queues/redis-queue';
import { work } from '@patterns/queues/work';
import { answer } from './processes.ts';
import { giveUp } from './queues-contestant.ts';
import { AT_A_TIME, MAY_WAIT, WORK_MS } from './queues-limits.ts';

const [way, url] = process.argv.slice(2) as ['direct' | 'queued', string];
let completedMs: number[] = [];

/** The system that payments go through. */
async function pay(dueAt: number): Promise<void> {
  await delay(WORK_MS);
  completedMs.push(performance.timeOrigin + performance.now() - dueAt);
}

/** Whoever asks waits for a free place, and is refused when too many do. */
function direct() {
  let working = 0;
  const waiting: (() => void)[] = [];
  return async (dueAt: number): Promise<number> => {
    if (working === AT_A_TIME) {
      if (waiting.length >= MAY_WAIT) return 503;
      await new Promise<void>((resolve) => waiting.push(resolve)); // who leaves hands the place over
    } else working++;
    await pay(dueAt);
    const next = waiting.shift();
    if (next) next();
    else working--;
    return 200;
  };
}

/** In one process here, and a worker could as well be a thousand miles away. */
async function queued() {
  const queue = await openRedisQueue({ url, name: 'payments', capacity: MAY_WAIT + AT_A_TIME, onProblem: giveUp });
  const { signal } = new AbortController();
  const handlers = { pay: ({ data }: { data: unknown }) => pay(data as number) };
  void work(queue, handlers, { signal, concurrency: AT_A_TIME, onProblem: giveUp }).catch(giveUp);
  return async (dueAt: number): Promise<number> => {
    try {
      await queue.enqueue([newJob({ kind: 'pay', data: dueAt })]);
      return 202;
    } catch (error) {
      if (error instanceof QueueError && error.code === 'full') return 503;
      return giveUp(error);
    }
  };
}

const accept = way === 'direct' ? direct() : await queued();
const respond = async (dueAt: number, response: ServerResponse) => response.writeHead(await accept(dueAt)).end();
const server = createServer((request, response) => void respond(Number(request.headers['x-due-at']), response));
server.listen(0, '127.0.0.1');
await once(server, 'listening');

const handlers = {
  url: () => `http://127.0.0.1:${(server.address() as AddressInfo).port}`,

  /** From when they were due to when they were done; waits for so many. */
  async completed({ payments }: { payments: number }): Promise<number[]> {
    while (completedMs.length < payments) await delay(5);
    const figures = completedMs;
    completedMs = [];
    return figures;
  },
};
export type Payments = typeof handlers;
answer(handlers);
