/**
 * What is worth watching, for Prometheus. Be alerted by the age of the oldest job, not by how many there are: ten thousand that
 * are gone in a minute are no trouble, and one that has waited for an hour is.
 */
import type pg from 'pg';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Queue } from './queue.ts';
import type { JobReport } from './work.ts';

/** Of the front: the lines that it fills. A registry per server, so that two in one process do not share their numbers. */
export function createFrontMetrics(pool: pg.Pool, queues: Readonly<Record<string, Queue>>) {
  const registry = new Registry();
  const registers = [registry];
  const jobs = new Gauge({
    name: 'queue_jobs',
    help: 'Jobs by what they wait for: a worker (ready), their time (delayed), the end of the work (leased), a look at them (dead)',
    labelNames: ['queue', 'state'] as const,
    registers,
  });
  const oldestAge = new Gauge({
    name: 'queue_oldest_age_seconds',
    help: 'How long the oldest job that could be taken has waited',
    labelNames: ['queue'] as const,
    registers,
  });
  const outboxJobs = new Gauge({ name: 'outbox_jobs', help: 'Jobs that are not in their queue yet', registers });
  const outboxAge = new Gauge({
    name: 'outbox_oldest_age_seconds',
    help: 'How long the oldest of them has waited: it grows when the queue is full or away',
    registers,
  });

  async function look(): Promise<void> {
    jobs.reset();
    oldestAge.reset();
    for (const [queue, source] of Object.entries(queues)) {
      // A broker that does not answer is told by its own metrics: no number is better than an old one.
      const { oldestAgeMs, ...counts } = (await source.depth().catch(() => undefined)) ?? {};
      for (const [state, count] of Object.entries(counts)) jobs.set({ queue, state }, count);
      if (oldestAgeMs !== undefined) oldestAge.set({ queue }, oldestAgeMs / 1_000);
    }
    const { rows } = await pool.query<{ count: number; age: number }>(
      'select count(*)::int, coalesce(extract(epoch from now() - min(at)), 0)::float8 as age from shop.outbox',
    );
    outboxJobs.set(rows[0]!.count);
    outboxAge.set(rows[0]!.age);
  }

  return {
    refused: new Counter({
      name: 'queue_refused_total',
      help: 'Requests that were told to come again, because a line was full or away',
      registers,
    }),
    contentType: registry.contentType,
    /** Looks, and says what it found. */
    async text(): Promise<string> {
      await look();
      return await registry.metrics();
    },
  };
}

/** Of a worker: what became of the jobs. */
export function createWorkerMetrics() {
  const registry = new Registry();
  const registers = [registry];
  const labelNames = ['kind', 'as'] as const;
  const jobs = new Counter({ name: 'jobs_settled_total', help: 'Jobs by what became of them', labelNames, registers });
  const attempts = new Histogram({
    name: 'job_attempts',
    help: 'The attempts that a job took, until it was done or given up',
    buckets: [1, 2, 3, 5, 10],
    registers,
  });
  const workSeconds = new Histogram({
    name: 'job_work_seconds',
    help: 'From taking a job until it had ended: if it comes near the lease, heartbeats are all that keeps it',
    labelNames: ['kind'] as const,
    registers,
  });
  const ageSeconds = new Histogram({
    name: 'job_age_seconds',
    help: 'From the making of a job until it had ended: how far the workers are behind',
    buckets: [0.01, 0.1, 1, 10, 60, 600, 3_600],
    registers,
  });
  return {
    registry,
    settled({ job: { kind }, as, attempt, workMs, ageMs }: JobReport): void {
      jobs.inc({ kind, as });
      workSeconds.observe({ kind }, workMs / 1_000);
      ageSeconds.observe(ageMs / 1_000);
      if (as === 'done' || as === 'dead') attempts.observe(attempt);
    },
  };
}
