/** What the suites of the Redis brokers share: a Redis behind a proxy that can cut the line, and clients on both sides of it. */
import { randomUUID } from 'node:crypto';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import type { Broker } from '../broker.ts';
import { asideKey } from '../group-ledger.ts';
import { logKey } from '../log.ts';
import type { PubSubError } from '../protocol.ts';
import { RedisPubSub } from '../redis-pubsub.ts';
import { RedisStreams } from '../redis-streams.ts';
import type { BrokerRig } from './guarantees.ts';

/** Soon enough for a test, late enough that a busy machine does not take it for death. */
export const CLAIM_AFTER_MS = 1_000;

interface RedisRig extends BrokerRig {
  readonly redis: Redis;
  readonly proxy: FaultProxy;
  readonly prefix: string;
}

export async function startRig(kind: 'pubsub' | 'streams'): Promise<RedisRig> {
  const stack = new AsyncDisposableStack();
  const url = inject('redisUrl');
  const prefix = `${inject('redisPrefix')}${randomUUID()}:`;
  const redis = stack.adopt(new Redis(url), (client) => client.disconnect());
  const proxy = stack.use(await startFaultProxy(url));
  const connect = (to: string, onProblem: (problem: PubSubError) => void = () => {}): Broker =>
    stack.use(
      kind === 'pubsub'
        ? new RedisPubSub({ url: to, prefix, onProblem })
        : new RedisStreams({ url: to, prefix, onProblem, claimAfterMs: CLAIM_AFTER_MS, maxAttempts: 3 }),
    );
  return {
    redis,
    proxy,
    prefix,
    publisher: connect(url),
    connect: async (onProblem) => connect(proxy.url, onProblem),
    channel: async () => `news.${randomUUID()}`,
    publishRaw: (channel, text) =>
      kind === 'pubsub'
        ? redis.publish(`${prefix}${channel}`, text)
        : redis.xadd(logKey(prefix, channel), '0-*', 'message', text),
    async whileCut(work) {
      proxy.refuse();
      proxy.cut();
      await until('no connection', () => proxy.connections === 0);
      await work();
      proxy.accept();
    },
    startStuckConsumer: (channel, group) =>
      stack.use(
        startProcess(new URL('stuck-consumer.ts', import.meta.url), {
          args: [kind, channel, group],
          env: { REDIS_URL: url, REDIS_PREFIX: prefix, CLAIM_AFTER_MS: String(CLAIM_AFTER_MS) },
        }),
      ),
    async setAside(channel) {
      const entries = await redis.xrange(asideKey(logKey(prefix, channel)), '-', '+');
      return entries.map(([, [, text = '', , reason = '']]) => ({ id: JSON.parse(text).id, reason }));
    },
    connections: () => proxy.connections,
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
