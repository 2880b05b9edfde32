/** The worker process of the sync-async benchmark. */
import { startWorker } from '@patterns/sync-async/worker';
import { answer } from './processes.ts';

await startWorker({ databaseUrl: process.env.DATABASE_URL!, threads: Number(process.env.THREADS) });

const handlers = { ready: () => true };
export type ReportWorker = typeof handlers;
answer(handlers);
