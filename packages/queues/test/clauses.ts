/** What each clause of a queue's guarantees promises, and how that is checked. */
import { setTimeout as pause } from 'node:timers/promises';
import { until, within } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import { type Job, newJob, QueueError } from '../job.ts';
import type { Clause, DeadJob, Delivery, Queue, TakeOptions } from '../queue.ts';
import type { QueueRig } from './guarantees.ts';

interface ClauseCheck {
  promise: string;
  check: (rig: QueueRig) => Promise<void>;
}

/** A whole second, which is the grain of some brokers; long enough that a busy machine is not taken for a dead worker. */
const LEASE_MS = 1_000;
/** Ends only after the test: what comes back before was given back. */
const LONG_LEASE_MS = 60_000;
const DELAY_MS = 1_000;
/** For what must come: leases that end, restarts and reconnects included. Also how long a broken promise is waited for. */
const PATIENCE_MS = 8_000;
/** A RabbitMQ on a busy machine. */
const RESTART_MS = 40_000;
/** What would come at once has come by then. */
const SHORT_MS = 300;

export const clauses: Record<Clause, ClauseCheck> = {
  'at-least-once': {
    promise: 'a job whose worker was killed with -9 is done by another one',
    async check(rig) {
      const queue = await rig.open();
      const job = await add(queue);
      await killHolder(rig, LEASE_MS, `has ${job.id} `);
      expect((await takeOne(queue)).job).toEqual(job);
    },
  },

  'ack-after-work': {
    promise: 'a job is gone when it is settled, not when it is taken',
    async check(rig) {
      const [first, second] = [await rig.open(), await rig.open()];
      const job = await add(first);
      await takeOne(first, { leaseMs: LEASE_MS });
      await first[Symbol.asyncDispose]();
      const again = await takeOne(second, { leaseMs: LEASE_MS });
      expect(again.job.id).toBe(job.id);
      expect(await second.settle([{ delivery: again, as: 'done' }])).toEqual([]);
      await expectNothing(second, LEASE_MS + SHORT_MS);
    },
  },

  lease: {
    promise: 'a job that nobody settles goes to somebody else when its time is over, though its holder lives',
    async check(rig) {
      const [holder, other] = [await rig.open(), await rig.open()];
      const job = await add(holder);
      await takeOne(holder, { leaseMs: LEASE_MS });
      await expectNothing(other, SHORT_MS);
      expect((await takeOne(other)).job.id).toBe(job.id);
    },
  },

  heartbeat: {
    promise: 'a lease that is extended in time does not end',
    async check(rig) {
      const leaseMs = 2 * LEASE_MS; // so that a machine that is busy for a second breaks nothing
      const [holder, other] = [await rig.open(), await rig.open()];
      await add(holder);
      const delivery = await takeOne(holder, { leaseMs });
      const waiting = other.take({ limit: 1, leaseMs, waitMs: 2 * leaseMs });
      let isWaiting = true;
      void waiting.catch(() => {}).finally(() => (isWaiting = false));
      while (isWaiting) {
        expect(await holder.extend([delivery], leaseMs), 'leases that were over').toEqual([]);
        await pause(leaseMs / 4);
      }
      expect(await waiting, 'what somebody else got').toEqual([]);
      expect(await holder.settle([{ delivery, as: 'done' }]), 'leases that were over').toEqual([]);
    },
  },

  fencing: {
    promise: 'whoever lost a lease can no longer settle the job, nor extend the lease',
    async check(rig) {
      const [slow, quick] = [await rig.open(), await rig.open()];
      await add(slow);
      const stale = await takeOne(slow, { leaseMs: LEASE_MS });
      const fresh = await takeOne(quick);
      expect(await slow.extend([stale], LONG_LEASE_MS), 'leases that were over').toEqual([stale]);
      expect((await slow.extend([stale], LONG_LEASE_MS))[0], 'it is told by the delivery itself').toBe(stale);
      for (const outcome of [
        { as: 'done' },
        { as: 'released' },
        { as: 'retry', delayMs: 0, reason: 'late' },
        { as: 'dead', reason: 'late' },
      ] as const) {
        expect(await slow.settle([{ delivery: stale, ...outcome }]), `${outcome.as} by the late one`).toEqual([stale]);
      }
      expect(await quick.dead(), 'dead jobs').toEqual([]);
      await expectNothing(slow, SHORT_MS);
      expect(await quick.settle([{ delivery: fresh, as: 'done' }]), 'leases that were over').toEqual([]);
      await expectNothing(slow, SHORT_MS);
    },
  },

  attempts: {
    promise: 'deliveries are counted, those whose worker died too',
    async check(rig) {
      const queue = await rig.open();
      const job = await add(queue);
      await killHolder(rig, LEASE_MS, `has ${job.id} 1`);
      const second = await takeOne(queue);
      expect(second.attempt, 'after the one that died').toBe(2);
      await queue.settle([{ delivery: second, as: 'retry', delayMs: 0, reason: 'not now' }]);
      expect((await takeOne(queue)).attempt, 'after the one that failed').toBe(3);
    },
  },

  'dead-letter': {
    promise: 'a job can be set aside with its reason, looked at, and put back',
    async check(rig) {
      const queue = await rig.open();
      const job = await add(queue);
      const delivery = await takeOne(queue);
      expect(await queue.settle([{ delivery, as: 'dead', reason: 'poison' }])).toEqual([]);
      const [dead] = await deadJobs(queue, 1);
      expect(dead).toMatchObject({ job, attempts: 1, reason: expect.stringContaining('poison') });
      expect(JSON.parse((dead as DeadJob).text)).toEqual(job);
      await expectNothing(queue, SHORT_MS);
      expect(await queue.redrive([(dead as DeadJob).id]), 'jobs put back').toBe(1);
      expect(await queue.redrive([(dead as DeadJob).id]), 'jobs put back a second time').toBe(0);
      expect(await takeOne(queue)).toMatchObject({ job, attempt: 1 });
      expect(await queue.dead()).toEqual([]);
    },
  },

  'malformed-aside': {
    promise: 'what is no job, or one of a version that nobody knows, is set aside and holds up no other',
    async check(rig) {
      const queue = await rig.open();
      const later = JSON.stringify({ ...newJob({ kind: 'test', data: 0 }), v: 2 });
      const texts = ['{', 'null', '{"v":1}', later];
      for (const text of texts) await rig.enqueueRaw(text);
      const job = await add(queue);
      expect((await takeOne(queue)).job.id, 'the first job').toBe(job.id);
      const dead = await deadJobs(queue, texts.length);
      expect(dead.map(({ text }) => text).sort()).toEqual(texts.sort());
      for (const each of dead) {
        expect(each.job, `${each.text} as a job`).toBeUndefined();
        expect(each.reason).toMatch(/ must /);
      }
    },
  },

  'retry-delay': {
    promise: 'a job that failed comes back after its delay and not before',
    async check(rig) {
      const queue = await rig.open();
      const job = await add(queue);
      const delivery = await takeOne(queue);
      const waited = stopwatch();
      const retry = { as: 'retry', delayMs: DELAY_MS, reason: 'not now' } as const;
      expect(await queue.settle([{ delivery, ...retry }])).toEqual([]);
      expect((await takeOne(queue)).job.id).toBe(job.id);
      expect(waited()).toBeGreaterThanOrEqual(DELAY_MS);
    },
  },

  release: {
    promise: 'a job that is given back is there at once, with no attempt counted',
    async check(rig) {
      const [first, second] = [await rig.open(), await rig.open()];
      const job = await add(first);
      const delivery = await takeOne(first);
      expect(await first.settle([{ delivery, as: 'released' }])).toEqual([]);
      expect(await takeOne(second)).toMatchObject({ job, attempt: 1 });
    },
  },

  'delayed-job': {
    promise: 'a job can be put there for later, and holds up no other',
    async check(rig) {
      const queue = await rig.open();
      const waited = stopwatch();
      const later = newJob({ kind: 'test', data: 'later' });
      await queue.enqueue([later], { delayMs: DELAY_MS });
      const now = await add(queue);
      expect((await takeOne(queue)).job.id, 'the first').toBe(now.id);
      expect((await takeOne(queue)).job.id, 'the second').toBe(later.id);
      expect(waited()).toBeGreaterThanOrEqual(DELAY_MS);
    },
  },

  'order-per-key': {
    promise: 'jobs with the same key are done one at a time in their order, retries included',
    async check(rig) {
      const queues = [await rig.open(), await rig.open()];
      const jobs = ['a1', 'a2', 'b1', 'a3', 'b2'].map((data) => newJob({ kind: 'test', data, key: data.slice(0, 1) }));
      await queues[0]!.enqueue(jobs);
      const done: string[] = [];
      const inHand: { queue: Queue; delivery: Delivery }[] = [];
      const waited = stopwatch();
      while (done.length < jobs.length && waited() < PATIENCE_MS) {
        for (const queue of queues) {
          const taken = await queue.take({ limit: 10, leaseMs: LONG_LEASE_MS, waitMs: SHORT_MS });
          inHand.push(...taken.map((delivery) => ({ queue, delivery })));
        }
        const keys = inHand.map(({ delivery }) => delivery.job.key);
        expect(keys, 'keys of the jobs in hand').toEqual([...new Set(keys)]);
        const next = inHand.shift();
        if (!next) continue;
        const { queue, delivery } = next;
        const name = delivery.job.data as string;
        const isFirst = name === 'a1' && delivery.attempt === 1;
        const retry = { as: 'retry', delayMs: DELAY_MS, reason: 'not now' } as const;
        await queue.settle([isFirst ? { delivery, ...retry } : { delivery, as: 'done' }]);
        if (!isFirst) done.push(name);
      }
      const of = (key: string) => done.filter((name) => name.startsWith(key));
      expect(of('a')).toEqual(['a1', 'a2', 'a3']);
      expect(of('b')).toEqual(['b1', 'b2']);
    },
  },

  bounded: {
    promise: 'when it is full a job is refused, and none that was taken is dropped',
    async check(rig) {
      const queue = await rig.open({ capacity: 5 });
      const jobs = Array.from({ length: 5 }, (_, n) => newJob({ kind: 'test', data: n }));
      await queue.enqueue(jobs.slice(0, 4));
      const pair = [newJob({ kind: 'test', data: 'one' }), newJob({ kind: 'test', data: 'too many' })];
      await expectFull(queue.enqueue(pair));
      await queue.enqueue(jobs.slice(4));
      await expectFull(add(queue));
      const taken = await takeAll(queue, 5);
      expect(taken.map(({ job }) => job.data).toSorted((a, b) => Number(a) - Number(b))).toEqual([0, 1, 2, 3, 4]);
      await expectNothing(queue, SHORT_MS);
      await queue.settle(taken.map((delivery) => ({ delivery, as: 'done' })));
      const { id } = await add(queue);
      expect((await takeOne(queue)).job.id).toBe(id);
    },
  },

  'survives-restart': {
    promise: 'what was accepted is there after the broker was killed with -9',
    async check(rig) {
      const before = await rig.open();
      const jobs = Array.from({ length: 20 }, (_, n) => newJob({ kind: 'test', data: n }));
      await before.enqueue(jobs);
      await takeOne(before, { leaseMs: LEASE_MS });
      await within('the restart of the broker', RESTART_MS, rig.restart?.() ?? Promise.resolve());
      const ids = (await takeAll(await rig.open(), jobs.length)).map(({ job }) => job.id);
      expect(ids.sort()).toEqual(jobs.map(({ id }) => id).sort());
    },
  },

  reconnects: {
    promise: 'after a cut connection producer and worker go on by themselves',
    async check(rig) {
      const [producer, worker] = [await rig.open(), await rig.open()];
      const first = await add(producer);
      const delivery = await takeOne(worker);
      expect(delivery.job.id).toBe(first.id);
      await worker.settle([{ delivery, as: 'done' }]);
      const waiting = worker.take({ limit: 1, leaseMs: LONG_LEASE_MS, waitMs: PATIENCE_MS }).catch(() => []);
      await rig.whileCut(async () => {});
      // A producer that is refused says the same job again; its id tells it from another.
      const second = newJob({ kind: 'test', data: 2 });
      await until('a job taken from the producer', () => producer.enqueue([second]).then(() => true), PATIENCE);
      const again = (await waiting)[0] ?? (await until('a job for the worker', () => takeIfThere(worker), PATIENCE));
      expect(again.job.id).toBe(second.id);
    },
  },

  'oldest-age': {
    promise: 'it tells how long the oldest job has waited',
    async check(rig) {
      const queue = await rig.open();
      const age = async () => (await queue.depth()).oldestAgeMs ?? 0;
      expect(await age(), 'the age of none').toBe(0);
      const waited = stopwatch();
      await add(queue);
      expect((await queue.depth()).oldestAgeMs, 'the age of one that waits').toBeDefined();
      await until('a job that has waited 500 ms', async () => (await age()) >= 500, PATIENCE);
      expect(waited()).toBeGreaterThanOrEqual(500);
      const before = await age();
      await add(queue);
      expect(await age(), 'the oldest one, not the youngest').toBeGreaterThanOrEqual(before);
      await takeAll(queue, 2);
      expect(await age(), 'the age of none that waits').toBe(0);
    },
  },
};

const PATIENCE = { withinMs: PATIENCE_MS };

/** Milliseconds since now. Clocks of other machines are rounded to whole milliseconds: so is this one, upwards. */
function stopwatch(): () => number {
  const since = performance.now();
  return () => Math.ceil(performance.now() - since) + 1;
}

async function add(queue: Queue): Promise<Job> {
  const job = newJob({ kind: 'test', data: 'a job' });
  await queue.enqueue([job]);
  return job;
}

/** What is there within the patience, `count` at least. Nothing of it is settled. */
async function takeAll(queue: Queue, count: number, options: Partial<TakeOptions> = {}): Promise<Delivery[]> {
  const taken: Delivery[] = [];
  const waited = stopwatch();
  while (taken.length < count) {
    const waitMs = Math.ceil(PATIENCE_MS - waited());
    if (waitMs <= 0) throw new Error(`Not within ${PATIENCE_MS} ms: job ${taken.length + 1} of ${count}`);
    taken.push(...(await queue.take({ limit: count - taken.length, leaseMs: LONG_LEASE_MS, waitMs, ...options })));
  }
  return taken;
}

async function takeOne(queue: Queue, options?: Partial<TakeOptions>): Promise<Delivery> {
  return (await takeAll(queue, 1, options))[0]!;
}

async function takeIfThere(queue: Queue): Promise<Delivery | undefined> {
  return (await queue.take({ limit: 1, leaseMs: LONG_LEASE_MS, waitMs: SHORT_MS }))[0];
}

async function expectNothing(queue: Queue, waitMs: number): Promise<void> {
  const found = await queue.take({ limit: 10, leaseMs: LONG_LEASE_MS, waitMs });
  expect(found, 'what was there to be taken').toEqual([]);
}

async function expectFull(enqueued: Promise<unknown>): Promise<void> {
  const answer = await enqueued.then(
    () => 'accepted',
    (error: unknown) => error,
  );
  expect(answer, 'the answer of a full queue').toBeInstanceOf(QueueError);
  expect(answer).toMatchObject({ code: 'full', retryAfterMs: expect.any(Number) });
}

async function deadJobs(queue: Queue, count: number): Promise<DeadJob[]> {
  return await until(
    `${count} dead jobs`,
    async () => {
      const dead = await queue.dead();
      return dead.length >= count && dead;
    },
    PATIENCE,
  );
}

/** Kills a worker with -9 that has said `has`, and has settled nothing. */
async function killHolder(rig: QueueRig, leaseMs: number, has: string): Promise<void> {
  await using worker = rig.startStuckWorker(leaseMs);
  await worker.line((line) => line.startsWith(has), PATIENCE);
  await worker.kill('SIGKILL');
}
