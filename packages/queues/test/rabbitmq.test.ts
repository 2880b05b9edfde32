/** The guarantees on a real RabbitMQ: one that is found, or one that is started for this file. And what is RabbitMQ's own. */
import { within } from '@patterns/kit/testing/until';
import { findRabbitmq } from '@patterns/services/rabbitmq';
import type { Service } from '@patterns/services/service';
import { requireRabbitmq } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newJob } from '../job.ts';
import type { Delivery, Queue } from '../queue.ts';
import { RABBITMQ_GUARANTEES } from '../rabbitmq-guarantees.ts';
import { guaranteesOf } from './guarantees.ts';
import { startRabbitmqRig } from './rabbitmq-rig.ts';

/** Six seconds on a quiet machine, half a minute the first time on a busy one. */
const START_MS = 90_000;
const LEASE = { leaseMs: 60_000, waitMs: 8_000 };

const { describe: describeRabbitmq, isOurs } = await requireRabbitmq();

describeRabbitmq('rabbitmq', () => {
  let rabbitmq: Service;
  beforeAll(async () => {
    rabbitmq = await findRabbitmq();
  }, START_MS);
  afterAll(() => rabbitmq?.[Symbol.asyncDispose]());

  const jobs = (count: number) => Array.from({ length: count }, (_, n) => newJob({ kind: 'test', data: n }));

  describe('beyond the guarantees', { concurrent: true }, () => {
    test('a job that is delayed for long does not hold up one that is delayed for less', async () => {
      await using rig = await startRabbitmqRig(rabbitmq);
      const queue = await rig.open();
      const [late, early] = jobs(2);
      await queue.enqueue([late!], { delayMs: 60_000 });
      await queue.enqueue([early!], { delayMs: 100 });
      expect(await queue.take({ limit: 1, ...LEASE })).toMatchObject([{ job: early }]);
      expect(await queue.depth()).toMatchObject({ delayed: 1, leased: 1 });
    });

    test('producers that find room at the same time are refused by the broker itself, and nothing is dropped', async () => {
      await using rig = await startRabbitmqRig(rabbitmq);
      const queue = await rig.open({ capacity: 5 });
      const answers = await Promise.allSettled(jobs(30).map((job) => queue.enqueue([job])));
      const refused = answers.flatMap((each) => (each.status === 'rejected' ? [each.reason as unknown] : []));
      expect(refused.length).toBeGreaterThan(0);
      for (const each of refused) expect(each).toMatchObject({ code: 'full' });
      expect((await queue.depth()).ready).toBe(answers.length - refused.length);
    });

    test('a worker does not hoard: what one has not asked for, another one gets', async () => {
      await using rig = await startRabbitmqRig(rabbitmq);
      const [one, other] = [await rig.open(), await rig.open()];
      await one.enqueue(jobs(10));
      expect(await one.take({ limit: 1, ...LEASE })).toHaveLength(1);
      const rest: Delivery[] = [];
      while (rest.length < 9) {
        const taken = await other.take({ limit: 10, ...LEASE });
        expect(taken, 'what the other one gets').not.toEqual([]);
        rest.push(...taken);
      }
    });

    test('a job that is settled twice is settled once, and its channel stays', async () => {
      await using rig = await startRabbitmqRig(rabbitmq);
      const queue = await rig.open();
      await queue.enqueue(jobs(2));
      const [delivery] = await queue.take({ limit: 1, ...LEASE });
      const [second] = await queue.take({ limit: 1, ...LEASE });
      const done = { delivery: delivery!, as: 'done' } as const;
      expect(await queue.settle([done])).toEqual([]);
      expect(await queue.settle([done])).toEqual([delivery]);
      expect(await queue.extend([second!], LEASE.leaseMs), 'lost with the channel').toEqual([]);
    });

    test('a queue that somebody deletes is made again', async () => {
      await using rig = await startRabbitmqRig(rabbitmq);
      const queue = await rig.open();
      const waiting = queue.take({ limit: 1, ...LEASE }).then(
        () => 'a job',
        (error: unknown) => error,
      );
      await queue.enqueue(jobs(1), { delayMs: 60_000 }); // by now the consumer is there as well
      await rig.onBroker((channel) => channel.deleteQueue(rig.queueName));
      expect(await within('the end of waiting', 8_000, waiting)).toMatchObject({ code: 'unavailable' });
      const [job] = jobs(1);
      await enqueueAgainAndAgain(queue, job!);
      expect(await queue.take({ limit: 1, ...LEASE })).toMatchObject([{ job }]);
    });
  });

  guaranteesOf({
    name: 'rabbitmq',
    guarantees: RABBITMQ_GUARANTEES,
    start: (clause) => startRabbitmqRig(rabbitmq, clause),
    restarts: isOurs,
  });
});

/** As a producer does that is told `unavailable`. */
async function enqueueAgainAndAgain(queue: Queue, job: ReturnType<typeof newJob>): Promise<void> {
  for (let attempt = 0; attempt < 10; attempt++) {
    const isThere = await queue.enqueue([job]).then(
      () => true,
      () => false,
    );
    if (isThere) return;
  }
  throw new Error('never taken');
}
