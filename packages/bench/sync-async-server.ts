/**
 * The server process of the sync-async benchmark: `node sync-async-server.ts <contestant>`. The textbook's server computes on
 * its event loop; ours in a pool of threads, or it accepts and leaves the work to sync-async-worker.ts.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { startNaiveServer } from '@patterns/sync-async/naive';
import { startServer } from '@patterns/sync-async/server';
import { answer } from './processes.ts';

/** Reports that may wait: nobody is refused here, since it is to be measured how long they wait. */
const MANY = 10_000;

const threads = Number(process.env.THREADS);
const { url } =
  process.argv[2] === 'textbook'
    ? { url: await startNaiveServer() }
    : await startServer({ databaseUrl: process.env.DATABASE_URL!, threads, maxQueue: MANY, maxPending: MANY });

const RESOLUTION_MS = 10;
const late = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
late.enable();

const handlers = {
  url: () => url,
  async watchLoop() {
    late.reset();
    while (late.count === 0) await delay(1); // from here it measures
  },
  /** How late the loop was since `watchLoop`, in milliseconds. */
  lateMs: () => ({ p99: Math.max(0, late.percentile(99) / 1e6 - RESOLUTION_MS) }),
};
export type ReportServer = typeof handlers;
answer(handlers);
