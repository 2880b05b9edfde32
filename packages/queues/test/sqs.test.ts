/** The guarantees on SQS' protocol, as fauxqs speaks it; and what its limits bring along. */
import { SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newJob } from '../job.ts';
import { sqsClient } from '../sqs-client.ts';
import { type SqsEmulator, startSqsEmulator } from '../sqs-emulator.ts';
import { SQS_GUARANTEES } from '../sqs-guarantees.ts';
import { createSqsQueues } from '../sqs-queues.ts';
import { guaranteesOf } from './guarantees.ts';
import { startSqsRig } from './sqs-rig.ts';

let emulator: SqsEmulator;
beforeAll(async () => {
  emulator = await startSqsEmulator();
});
afterAll(() => emulator[Symbol.asyncDispose]());

describe('what is more than SQS takes at once', { concurrent: true }, () => {
  const jobs = (count: number, data: unknown = '') =>
    Array.from({ length: count }, () => newJob({ kind: 'test', data }));
  const LEASE = { leaseMs: 60_000, waitMs: 8_000 };

  test('25 jobs are enqueued, taken and settled in one call each', async () => {
    await using rig = await startSqsRig(emulator.url, { fifo: false });
    const queue = await rig.open();
    await queue.enqueue(jobs(25));
    const taken = await queue.take({ limit: 25, ...LEASE });
    expect(taken).toHaveLength(25);
    expect(await queue.settle(taken.map((delivery) => ({ delivery, as: 'done' })))).toEqual([]);
    expect(await queue.depth()).toMatchObject({ ready: 0, leased: 0 });
  });

  test('of a batch that was taken in part, the job that was refused is told', async () => {
    await using rig = await startSqsRig(emulator.url, { fifo: false });
    const queue = await rig.open();
    const client = sqsClient(emulator.url);
    const { url: QueueUrl } = await createSqsQueues(client, rig.queueName, false);
    await client.send(new SetQueueAttributesCommand({ QueueUrl, Attributes: { MaximumMessageSize: '1024' } }));
    client.destroy();
    const [first, large, last] = [...jobs(1), ...jobs(1, 'x'.repeat(2_000)), ...jobs(1)];
    await expect(queue.enqueue([first!, large!, last!])).rejects.toThrow(large!.id);
    const taken = await queue.take({ limit: 10, ...LEASE });
    expect(taken.map(({ job }) => job.id).sort()).toEqual([first!.id, last!.id].sort());
  });

  test('of several leases, the one that was over is told', async () => {
    await using rig = await startSqsRig(emulator.url, { fifo: false });
    const queue = await rig.open();
    await queue.enqueue(jobs(3));
    const taken = await queue.take({ limit: 3, ...LEASE });
    await queue.settle([{ delivery: taken[1]!, as: 'done' }]);
    expect(await queue.extend(taken, LEASE.leaseMs)).toEqual([taken[1]]);
  });

  test('a delay of more than 15 minutes is refused', async () => {
    await using rig = await startSqsRig(emulator.url, { fifo: false });
    const queue = await rig.open();
    await expect(queue.enqueue(jobs(1), { delayMs: 15 * 60_000 + 1 })).rejects.toMatchObject({ code: 'unsupported' });
  });

  test('characters that it does not take arrive all the same', async () => {
    await using rig = await startSqsRig(emulator.url, { fifo: false });
    const queue = await rig.open();
    const [job] = jobs(1, 'a\u0000b\uFFFEc\uFFFFd\uD800e');
    await queue.enqueue([job!]);
    expect(await queue.take({ limit: 1, ...LEASE })).toMatchObject([{ job }]);
  });
});

guaranteesOf({
  name: 'sqs',
  guarantees: SQS_GUARANTEES,
  start: (clause) => startSqsRig(emulator.url, { fifo: false, clause }),
});
