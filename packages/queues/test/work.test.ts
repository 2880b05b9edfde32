import { setTimeout as pause } from 'node:timers/promises';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until, within } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { JobContext } from '../attempt.ts';
import { newJob } from '../job.ts';
import type { Outcome } from '../queue.ts';
import { startRedisRig } from './redis-rig.ts';
import { jobs, settlingBy, startWorker } from './worker-rig.ts';

/** Resolves when the signal aborts, with the message of its reason. */
const aborted = (signal: AbortSignal) =>
  new Promise<string>((resolve) => {
    if (signal.aborted) resolve((signal.reason as Error).message);
    else signal.addEventListener('abort', () => resolve((signal.reason as Error).message), { once: true });
  });

// Nearly all of it is waiting: they wait together.
requireRedis()('on Redis', () =>
  describe('a worker', { concurrent: true }, () => {
    let leaks: AsyncDisposable;
    beforeAll(() => {
      leaks = noLeaks();
    });
    afterAll(() => leaks[Symbol.asyncDispose]());

    test('tries a job that failed again, and sets it aside with the reason of the last failure', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      await using worker = startWorker(
        queue,
        (_job, { attempt }) => {
          throw new Error(`failure ${attempt} ${'!'.repeat(10_000)}`);
        },
        { maxAttempts: 3 },
      );
      const [job] = jobs(1);
      await queue.enqueue([job!]);
      expect((await worker.reports.take(3)).map(({ as, attempt }) => [as, attempt])).toEqual([
        ['retry', 1],
        ['retry', 2],
        ['dead', 3],
      ]);
      const [dead] = await queue.dead();
      expect(dead).toMatchObject({ job, attempts: 3, reason: expect.stringMatching(/^failure 3 /) });
      expect(dead?.reason.length, 'characters of the reason').toBeLessThanOrEqual(500);
    });

    test('does not touch a job that took the last worker with it, once too often', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      await queue.enqueue(jobs(1));
      for (let n = 1; n <= 2; n++) {
        const [delivery] = await queue.take({ limit: 1, leaseMs: 100 }); // and nothing more is heard of it
        expect(delivery?.attempt).toBe(n);
      }
      await using worker = startWorker(queue, () => {}, { maxAttempts: 2 });
      expect(await worker.reports.next()).toMatchObject({ as: 'dead', attempt: 3, reason: /gone before it was done/ });
      expect(worker.begun.items).toEqual([]);
    });

    test('fails a job of a kind that it does not know, for others may know it', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      await using worker = startWorker(queue, { test: () => {} }, { maxAttempts: 2 });
      await queue.enqueue([newJob({ kind: 'constructor', data: 1 })]); // what every object has
      const reason = 'there is no handler for constructor';
      expect(await worker.reports.take(2)).toMatchObject([
        { as: 'retry', reason },
        { as: 'dead', reason },
      ]);
    });

    test('keeps a job that takes longer than its lease', async () => {
      await using rig = await startRedisRig();
      const leaseMs = 2_000; // so that a machine that is busy for half a second breaks nothing
      const slowly = () => pause(1.7 * leaseMs);
      await using one = startWorker(await rig.open(), slowly, { leaseMs });
      const [job] = jobs(1);
      await (await rig.open()).enqueue([job!]);
      await one.begun.next();
      await using other = startWorker(await rig.open(), slowly, { leaseMs });
      expect(await one.reports.next()).toMatchObject({ as: 'done', attempt: 1 });
      expect(other.begun.items).toEqual([]);
    });

    test('that lost its lease is told so, and its word counts no more', async () => {
      await using rig = await startRedisRig();
      const leaseMs = 900;
      const told = Promise.withResolvers<string>();
      await using cut = startWorker(
        await rig.open(),
        async (_job, { signal }) => {
          told.resolve(await aborted(signal));
          throw new Error('too late to fail');
        },
        { leaseMs },
      );
      await using direct = await rig.openDirect();
      await direct.enqueue(jobs(1));
      await cut.begun.next();
      rig.proxy.stall(); // it lives, and nobody hears it
      await using other = startWorker(direct, () => {}, { leaseMs });
      expect(await other.reports.next()).toMatchObject({ as: 'done', attempt: 2 });
      rig.proxy.flow();
      expect(await within('a word to the handler', 10_000, told.promise)).toMatch(/the lease is over/);
      expect(await cut.reports.next()).toMatchObject({ as: 'lost', attempt: 1 });
      await cut.stop();
      expect(await direct.depth()).toMatchObject({ ready: 0, delayed: 0, leased: 0, dead: 0 });
    });

    test('says again what the broker did not hear', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      const unheard = new EventQueue<Error>();
      const finish = Promise.withResolvers<void>();
      const settle = (outcomes: readonly Outcome[]) =>
        queue.settle(outcomes).catch((error: Error) => {
          unheard.push(error);
          throw error;
        });
      await using worker = startWorker(settlingBy(queue, settle), () => finish.promise);
      await using direct = await rig.openDirect();
      await direct.enqueue(jobs(1));
      await worker.begun.next();
      await rig.whileCut(async () => {
        finish.resolve();
        expect(await unheard.next()).toMatchObject({ code: 'unavailable' });
        expect(await direct.depth()).toMatchObject({ leased: 1 });
      });
      expect(await worker.reports.next()).toMatchObject({ as: 'done', attempt: 1 });
      expect(await direct.depth()).toMatchObject({ ready: 0, leased: 0 });
      expect(worker.begun.items.length, 'times that it was done').toBe(1);
    });

    test('has no more in hand than it is told', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      await queue.enqueue(jobs(20));
      const begun = new EventQueue<() => void>();
      let [atWork, most] = [0, 0];
      await using worker = startWorker(
        queue,
        async () => {
          most = Math.max(most, ++atWork);
          await new Promise<void>((resolve) => begun.push(resolve));
        },
        { concurrency: 5 }, // so that what is taken at a time does not go into it evenly
      );
      for (let n = 0; n < 20; n++) {
        // Each time as many as it may have, until there are not so many left.
        await until('as many at work as there may be', () => atWork === Math.min(5, 20 - n));
        const finish = await begun.next();
        atWork--;
        finish();
      }
      await worker.reports.take(20);
      expect(most).toBe(5);
    });

    test('settles in one call what ended in one pass of the event loop', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      const settled: number[] = [];
      const counting = settlingBy(queue, (outcomes) => {
        settled.push(outcomes.length);
        return queue.settle(outcomes);
      });
      await queue.enqueue(jobs(100));
      await using worker = startWorker(counting, async () => {}, { concurrency: 150 });
      await worker.reports.take(100);
      expect(settled).toEqual([50, 50]);
    });

    test('gives a handler the trace and the attempt of its job', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      const contexts = new EventQueue<JobContext>();
      await using _worker = startWorker(queue, (_job, context) => contexts.push(context));
      const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
      await queue.enqueue([newJob({ kind: 'test', data: 1, traceparent })]);
      expect(await contexts.next()).toMatchObject({ traceparent, attempt: 1 });
    });

    test('that is stopped finishes what it has in hand, and takes nothing more', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      const finish = Promise.withResolvers<void>();
      await using worker = startWorker(queue, () => finish.promise, { concurrency: 2 });
      await queue.enqueue(jobs(10));
      await worker.begun.take(2);
      let hasStopped = false;
      const stopped = worker.stop().then(() => (hasStopped = true));
      await queue.enqueue(jobs(1));
      expect(hasStopped, 'while its handlers work').toBe(false);
      finish.resolve();
      await within('its end', 5_000, stopped);
      expect(worker.reports.items).toMatchObject([{ as: 'done' }, { as: 'done' }]);
      expect(await queue.depth()).toMatchObject({ ready: 9, leased: 0, delayed: 0 });
    });

    test('that is stopped gives back what is not done in time, and no attempt is counted', async () => {
      await using rig = await startRedisRig();
      const queue = await rig.open();
      const told = new EventQueue<string>();
      const handler = async (_job: unknown, { signal }: JobContext) => {
        told.push(await aborted(signal));
        throw new Error('no time to fail either');
      };
      await using worker = startWorker(queue, handler, { graceMs: 100 });
      const [job] = jobs(1);
      await queue.enqueue([job!]);
      await worker.begun.next();
      await within('its end', 5_000, worker.stop());
      expect(await told.next()).toBe('the worker stops');
      expect(worker.reports.items).toMatchObject([{ as: 'released' }]);
      const again = await queue.take({ limit: 1, leaseMs: 1_000 });
      expect(again).toMatchObject([{ job, attempt: 1 }]);
    });

    test('that is stopped while the broker is away ends all the same', async () => {
      await using rig = await startRedisRig();
      await using direct = await rig.openDirect();
      await using worker = startWorker(await rig.open(), () => new Promise(() => {}), { graceMs: 100 });
      await direct.enqueue(jobs(1));
      await worker.begun.next();
      await rig.whileCut(async () => await within('its end', 10_000, worker.stop()));
      expect(await direct.depth(), 'till its lease is over').toMatchObject({ leased: 1 });
    });
  }),
);
