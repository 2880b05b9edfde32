/** What only the queue on Redis has, beside what every queue promises (redis.test.ts). */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { within } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { requireRedis } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { MAX_JOB_BYTES, newJob } from '../job.ts';
import { openRedisQueue } from '../redis-queue.ts';
import { startRedisRig } from './redis-rig.ts';
import { jobs } from './worker-rig.ts';

requireRedis()('a queue in Redis', () => {
  test('says how many jobs are where', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    await queue.enqueue(jobs(5));
    await queue.enqueue(jobs(2), { delayMs: 60_000 });
    const [first, second] = await queue.take({ limit: 2, leaseMs: 60_000 });
    await queue.settle([{ delivery: first!, as: 'dead', reason: 'poison' }]);
    expect(await queue.depth()).toMatchObject({ ready: 3, delayed: 2, leased: 1, dead: 1 });
    await queue.settle([{ delivery: second!, as: 'retry', delayMs: 60_000, reason: 'not now' }]);
    expect(await queue.depth()).toMatchObject({ ready: 3, delayed: 3, leased: 0, dead: 1 });
  });

  test('keeps nothing of a job that is done', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    await queue.enqueue(jobs(10));
    const taken = await queue.take({ limit: 10, leaseMs: 60_000 });
    await queue.settle(taken.map((delivery) => ({ delivery, as: 'done' })));
    expect(await rig.redis.xlen(rig.key('jobs')), 'entries').toBe(0);
    expect(await rig.redis.xpending(rig.key('jobs'), 'workers'), 'pending').toEqual([0, null, null, null]);
  });

  test('accepts or refuses each caller, though they share a command', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open({ capacity: 3 });
    const answers = await Promise.allSettled([queue.enqueue(jobs(2)), queue.enqueue(jobs(2)), queue.enqueue(jobs(1))]);
    expect(answers.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(await queue.depth()).toMatchObject({ ready: 3 });
    await expect(queue.enqueue(jobs(1), { delayMs: 1_000 }), 'delayed ones count too').rejects.toThrow(/full/);
  });

  test('accepts more than one command may carry, in order', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    const many = jobs(1_200);
    await Promise.all(many.map((job) => queue.enqueue([job])));
    const taken = await queue.take({ limit: 1_200, leaseMs: 60_000 });
    expect(taken.map(({ job }) => job.data)).toEqual(many.map(({ data }) => data));
    const outcomes = taken.map((delivery) => ({ delivery, as: 'done' }) as const);
    expect(await queue.settle(outcomes)).toEqual([]);
    expect(await queue.settle(outcomes.slice(0, 2)), 'a second time').toEqual(taken.slice(0, 2));
  });

  test('refuses a job that is too large, and the others with it', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    const large = newJob({ kind: 'test', data: 'x'.repeat(MAX_JOB_BYTES) });
    await expect(queue.enqueue([...jobs(1), large])).rejects.toMatchObject({ code: 'too-large' });
    expect(await queue.depth()).toMatchObject({ ready: 0 });
  });

  test('keeps each worker its own lease', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const [patient, hasty] = [await rig.open(), await rig.open()];
    await patient.enqueue(jobs(2));
    const [long] = await patient.take({ limit: 1, leaseMs: 60_000 });
    const [short] = await hasty.take({ limit: 1, leaseMs: 100 });
    const [again] = await hasty.take({ limit: 10, leaseMs: 100 });
    expect(again, 'the one whose lease is over').toMatchObject({ job: short!.job, attempt: 2 });
    expect(await patient.settle([{ delivery: long!, as: 'done' }]), 'leases that were over').toEqual([]);
    expect(await hasty.extend([again!], 60_000), 'a lease of another length').toEqual([]);
    expect(await hasty.take({ limit: 10, leaseMs: 100, waitMs: 600 })).toEqual([]);
  });

  test('goes on in a Redis that somebody has emptied', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    await rig.redis.del(rig.key('jobs'));
    const taking = queue.take({ limit: 1, leaseMs: 60_000 });
    const [job] = jobs(1);
    await queue.enqueue([job!]);
    expect(await taking).toMatchObject([{ job }]);
  });

  test('puts back no dead job that is not there', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    expect(await queue.redrive(['', 'no id', '0-1', `${10n ** 30n}-1`])).toBe(0);
  });

  test('ends a take that waits when its signal aborts', async () => {
    await using _leaks = noLeaks();
    await using rig = await startRedisRig();
    const queue = await rig.open();
    const stopping = new AbortController();
    const taking = queue.take({ limit: 1, leaseMs: 60_000, waitMs: 60_000, signal: stopping.signal });
    stopping.abort();
    expect(await within('the end of the take', 5_000, taking)).toEqual([]);
  });

  test('says so when Redis may throw jobs away', async () => {
    await using _leaks = noLeaks();
    await using redis = await startRedis({ args: ['--maxmemory-policy', 'allkeys-lru'] });
    const problems = new EventQueue<Error>();
    const onProblem = (problem: Error) => problems.push(problem);
    await using _queue = await openRedisQueue({ url: redis.url, name: 'test', onProblem });
    expect((await problems.next()).message).toMatch(/allkeys-lru may throw jobs away/);
  });

  test('that is not there says so', async () => {
    await using _leaks = noLeaks();
    await expect(openRedisQueue({ url: 'redis://127.0.0.1:1', name: 'test' })).rejects.toMatchObject({
      code: 'unavailable',
    });
  });
});
