/**
 * What is worth watching, for Prometheus. At-most-once has no errors: only these numbers tell that something is amiss.
 */
import type { Redis } from 'ioredis';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { groupsOf } from './group-ledger.ts';
import { headOf } from './log.ts';
import type { Newsroom } from './newsroom.ts';

export function createMetrics({ redis, channel, key }: Newsroom) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, collect: () => Promise<number>, labelNames: string[] = []) =>
    new Gauge({
      name,
      help,
      registers,
      labelNames,
      async collect() {
        // A Redis that does not answer is told by Redis' own metrics: no number is better than an old one.
        this.set(await collect().catch(() => Number.NaN));
      },
    });
  gauge('news_subscribers', 'Subscribers of the channel [PUBSUB NUMSUB]', () => subscribersOf(redis, channel));
  gauge('news_subscriber_backlog_bytes', 'Of the subscriber furthest behind [CLIENT LIST omem]', () =>
    worstBacklog(redis),
  );
  gauge('news_log_head', 'The last number given', () => headOf(redis, key));
  gauge('news_pending', 'Delivered to groups and not acknowledged [XINFO GROUPS]', async () => {
    const groups = await groupsOf(redis, key);
    return groups.reduce((sum, { pending }) => sum + pending, 0);
  });
  return {
    registry,
    published: new Counter({ name: 'news_published_total', help: 'Stories published', registers }),
    unheard: new Counter({ name: 'news_unheard_total', help: 'Stories that PUBLISH handed to nobody', registers }),
    receivers: new Gauge({ name: 'news_receivers', help: 'What PUBLISH returned last', registers }),
    publishSeconds: new Histogram({
      name: 'news_publish_seconds',
      help: 'From the request to the answer of Redis',
      buckets: [0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25, 1, 5],
      registers,
    }),
  };
}

/** Subscribed to the channel itself: those that match it with a pattern are not counted by Redis. */
export async function subscribersOf(redis: Redis, channel: string): Promise<number> {
  const [, count] = (await redis.pubsub('NUMSUB', channel)) as [string, number];
  return count;
}

/** Bytes that wait in Redis for the slowest subscriber: beyond client-output-buffer-limit it is cut off. */
async function worstBacklog(redis: Redis): Promise<number> {
  const clients = String(await redis.client('LIST', 'TYPE', 'PUBSUB'));
  return Math.max(0, ...[...clients.matchAll(/\bomem=(\d+)/g)].map(([, bytes]) => Number(bytes)));
}
