/**
 * A publisher of the pub-sub benchmark, in a process of its own: as fast as it gets its receipts, or at a given rate.
 * A receipt is the broker's answer: until then a message may be lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { encode } from '@patterns/pub-sub/protocol';
import { Redis } from 'ioredis';
import { answer } from './processes.ts';
import { type BrokerName, CHANNEL, news, openBroker } from './pub-sub-broker.ts';
import { percentile } from './results.ts';

type Publish = (dueAt: number) => Promise<unknown>;

/** `bare XADD` is a command of the driver, and nothing around it. */
async function open(name: BrokerName | 'bare XADD'): Promise<Publish> {
  if (name !== 'bare XADD') {
    const broker = await openBroker(name);
    return (dueAt) => broker.publish(news(dueAt));
  }
  const redis = new Redis(process.env.REDIS_URL!);
  return (dueAt) => redis.xadd(`bare:${CHANNEL}`, 'MAXLEN', '~', 10_000, '*', 'message', encode(news(dueAt)));
}

const publish = await open(process.argv[2] as BrokerName | 'bare XADD');
let latenciesMs: number[] = [];

async function publishOne(): Promise<void> {
  const startedAt = performance.now();
  await publish(startedAt);
  latenciesMs.push(performance.now() - startedAt);
}

function figures(cpu: NodeJS.CpuUsage, startedAt: number) {
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - startedAt) / 1_000;
  return {
    messages: latenciesMs.length,
    cpuMicros: (user + system) / latenciesMs.length,
    rate: latenciesMs.length / seconds,
    p50Ms: percentile(latenciesMs, 0.5),
    p99Ms: percentile(latenciesMs, 0.99),
  };
}

const handlers = {
  /** So many callers, each of whom publishes its next message when it has the receipt of the last one. */
  async flatOut({ callers, durationMs }: { callers: number; durationMs: number }) {
    latenciesMs = [];
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    const caller = async () => {
      while (performance.now() - startedAt < durationMs) await publishOne();
    };
    await Promise.all(Array.from({ length: callers }, caller));
    return figures(cpu, startedAt);
  },

  /** Messages at random times, `rate` a second on average, whether earlier ones have their receipts or not. */
  async paced({ rate, durationMs }: { rate: number; durationMs: number }) {
    latenciesMs = [];
    const cpu = process.cpuUsage();
    const startedAt = performance.now();
    const published: Promise<void>[] = [];
    for (
      let dueAt = startedAt;
      dueAt < startedAt + durationMs;
      dueAt += (-Math.log(1 - Math.random()) / rate) * 1_000
    ) {
      const earlyMs = dueAt - performance.now();
      if (earlyMs > 0) await delay(earlyMs);
      published.push(publishOne());
    }
    await Promise.all(published);
    return figures(cpu, startedAt);
  },
};
export type Publisher = typeof handlers;
answer(handlers);
