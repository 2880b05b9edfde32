/** What each contestant of the queues benchmark promises for its figures, and how it is set up. */
import { MAX_ATTEMPTS } from './queues-contestant.ts';
import { OUR_CONCURRENCY } from './queues-ours.ts';
import { BOSS_BATCH } from './queues-postgres.ts';
import { BARE_BATCH, BULLMQ_CONCURRENCY } from './queues-redis.ts';

const lines = {
  'the bare loops':
    `${BARE_BATCH} jobs a time, each parsed; no attempts counted, no delay before a retry, nothing set aside; one handler that ` +
    'throws ends them. Nothing of what a worker in Redis had when it died is given to another',
  ours:
    `at least once, a lease with heartbeats, ${MAX_ATTEMPTS} attempts with exponential backoff and jitter, then a dead letter; up to ` +
    `${OUR_CONCURRENCY.toLocaleString('en')} jobs at a time. Held by a transaction, attempts of workers that died are not counted, and ` +
    'a batch counts when all of it is done',
  BullMQ:
    `at least once, a lock of 30 s that is renewed, ${MAX_ATTEMPTS} attempts with exponential backoff, then the failed set; concurrency ` +
    `${BULLMQ_CONCURRENCY}, finished jobs removed`,
  'graphile-worker':
    `at least once, after a crash when 4 hours are over; ${MAX_ATTEMPTS} attempts with exponential backoff; 24 jobs at a time. Batched, as ` +
    'in its own figures: a local queue of 500, completions together',
  'pg-boss':
    `at least once, after a crash when 15 minutes are over; ${MAX_ATTEMPTS} attempts with exponential backoff; batches of ${BOSS_BATCH}, ` +
    'fetched again at once while they are full, woken by NOTIFY; finished jobs are kept',
};

const GENERAL =
  'For all alike neither server waits for its disk (Redis keeps no file, PostgreSQL runs with fsync off), and the tables are analyzed after the backlog ' +
  'was put there. Each promises something else:';

export const GUARANTEES = [GENERAL, '', ...Object.entries(lines).map(([who, what]) => `- ${who}: ${what}.`)].join('\n');
