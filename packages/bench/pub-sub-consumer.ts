/**
 * A consumer of the pub-sub benchmark, in a process of its own: it works off a stream that was filled before, or hears what
 * somebody else publishes.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { OLDEST } from '@patterns/pub-sub/broker';
import { encode } from '@patterns/pub-sub/protocol';
import { Redis } from 'ioredis';
import { answer } from './processes.ts';
import { type BrokerName, CHANNEL, news, openBroker } from './pub-sub-broker.ts';
import { percentile } from './results.ts';

export const BATCH = 100;

type Entries = [id: string, fields: string[]][];

const url = process.env.REDIS_URL!;
let latenciesMs: number[] = [];

const ways = {
  /** What the loop of every introduction costs, in batches: read, parse, work, acknowledge. */
  async bare(count: number): Promise<() => Promise<void>> {
    const redis = new Redis(url);
    const key = `bare:${CHANNEL}:${process.pid}`;
    for (let left = count; left > 0; left -= BATCH) {
      const pipeline = redis.pipeline();
      for (let i = 0; i < Math.min(left, BATCH); i++) pipeline.xadd(key, '*', 'message', encode(news(0)));
      await pipeline.exec();
    }
    await redis.xgroup('CREATE', key, 'workers', '0');
    return async () => {
      for (let done = 0; done < count; ) {
        const answer = await redis.xreadgroup(
          'GROUP',
          'workers',
          'one',
          'COUNT',
          BATCH,
          'BLOCK',
          0,
          'STREAMS',
          key,
          '>',
        );
        const [[, entries]] = answer as [[string, Entries]];
        for (const [, fields] of entries) work(JSON.parse(fields[1]!));
        await redis.xack(key, 'workers', ...entries.map(([id]) => id));
        done += entries.length;
      }
      await redis.del(key);
      await redis.quit();
    };
  },

  async ours(count: number): Promise<() => Promise<void>> {
    const broker = await openBroker('redis-streams', { batch: BATCH, retain: count, prefix: `ours:${process.pid}:` });
    for (let left = count; left > 0; left -= BATCH) {
      await Promise.all(Array.from({ length: Math.min(left, BATCH) }, () => broker.publish(news(0))));
    }
    return async () => {
      const all = Promise.withResolvers<void>();
      let done = 0;
      const handler = (message: { data: unknown }) => {
        work(message);
        if (++done === count) all.resolve();
      };
      const subscription = await broker.subscribe(CHANNEL, handler, { group: 'workers', after: OLDEST });
      await all.promise;
      await subscription.close();
      await broker[Symbol.asyncDispose]();
    };
  },
};
export type Way = keyof typeof ways;

/** Almost nothing, so that the broker's part is what is measured: it reads the message. */
function work({ data }: { data: unknown }): void {
  if ((data as { text: string }).text.length !== 120) throw new Error('not the news that was published');
}

const handlers = {
  /** Works off `count` messages, after as many to warm up. */
  async consume({ way, count }: { way: Way; count: number }) {
    await (await ways[way](count))();
    const consume = await ways[way](count);
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    await consume();
    const seconds = (performance.now() - startedAt) / 1_000;
    const { user, system } = process.cpuUsage(cpu);
    return { cpuMicros: (user + system) / count, rate: count / seconds };
  },

  /** Resolves when the broker has acknowledged the subscription. */
  async hear({ name }: { name: BrokerName }): Promise<void> {
    const broker = await openBroker(name);
    await broker.subscribe(CHANNEL, ({ data }) => {
      latenciesMs.push(performance.timeOrigin + performance.now() - (data as { due: number }).due);
    });
  },

  /** Waits until all have arrived. When none comes for 3 s, the rest is lost. */
  async heard({ messages }: { messages: number }) {
    for (let before = -1, quietSince = 0; latenciesMs.length < messages; await delay(5)) {
      if (latenciesMs.length !== before) quietSince = performance.now();
      else if (performance.now() - quietSince > 3_000) break;
      before = latenciesMs.length;
    }
    const figures = { p50Ms: percentile(latenciesMs, 0.5), p99Ms: percentile(latenciesMs, 0.99) };
    const lost = messages - latenciesMs.length;
    latenciesMs = [];
    return { ...figures, lost };
  },
};
export type Consumer = typeof handlers;
answer(handlers);
