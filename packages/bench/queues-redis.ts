/**
 * Queues in Redis: ours, BullMQ, and the bare commands of ours. Libraries are loaded by whom they are for: some take half a second.
 *
 * BullMQ with a concurrency of 200, since 50, 100, 200 and 400 made no difference that could be told from noise; finished jobs are removed.
 */
import { Redis } from 'ioredis';
import { type Contestant, giveUp, MAX_ATTEMPTS, payload } from './queues-contestant.ts';

export const BULLMQ_CONCURRENCY = 200;
export const BARE_BATCH = 500;

const NAME = 'bench';

export const contestants = {
  async 'bare XREADGROUP loop'(url: string): Promise<Contestant> {
    const redis = new Redis(url);
    await redis.xgroup('CREATE', NAME, 'workers', '0', 'MKSTREAM').catch(() => {}); // the other process was first
    type Answer = [[string, [id: string, fields: [string, string]][]]];
    return {
      async enqueue(dues) {
        const pipeline = redis.pipeline();
        for (const due of dues) pipeline.xadd(NAME, '*', 'job', JSON.stringify(payload(due)));
        await pipeline.exec();
      },
      async work(handle) {
        const next = () =>
          redis.xreadgroup('GROUP', 'workers', 'one', 'COUNT', BARE_BATCH, 'BLOCK', 0, 'STREAMS', NAME, '>');
        void (async () => {
          for (;;) {
            const [[, entries]] = (await next()) as Answer;
            for (const [, fields] of entries) handle(JSON.parse(fields[1]));
            const ids = entries.map(([id]) => id);
            await Promise.all([redis.xack(NAME, 'workers', ...ids), redis.xdel(NAME, ...ids)]);
          }
        })().catch(giveUp);
      },
      async [Symbol.asyncDispose]() {
        await redis.quit();
      },
    };
  },

  async 'redis, ours'(url: string): Promise<Contestant> {
    const { openRedisQueue } = await import('@patterns/queues/redis-queue');
    const { oursOn } = await import('./queues-ours.ts');
    return oursOn(await openRedisQueue({ url, name: NAME, capacity: 1_000_000, onProblem: giveUp }));
  },

  async BullMQ(url: string): Promise<Contestant> {
    const { Queue, Worker } = await import('bullmq');
    const connection = { url, maxRetriesPerRequest: null };
    const queue = new Queue(NAME, {
      connection,
      defaultJobOptions: {
        attempts: MAX_ATTEMPTS,
        backoff: { type: 'exponential', delay: 1_000 },
        removeOnComplete: true,
      },
    });
    queue.on('error', giveUp);
    return {
      async enqueue(dues) {
        await queue.addBulk(dues.map((due) => ({ name: 'noop', data: payload(due) })));
      },
      async work(handle) {
        const worker = new Worker(NAME, async ({ data }) => handle(data), {
          connection,
          concurrency: BULLMQ_CONCURRENCY,
        });
        worker.on('error', giveUp).on('failed', (_job, error) => giveUp(error));
        await worker.waitUntilReady();
      },
      [Symbol.asyncDispose]: () => queue.close(),
    };
  },
};
