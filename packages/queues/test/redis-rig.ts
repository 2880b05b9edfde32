/** What the tests of the Redis queue share: a Redis behind a proxy that can cut the line, and clients on both sides of it. */
import { randomUUID } from 'node:crypto';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { Redis } from 'ioredis';
import { inject } from 'vitest';
import type { Queue } from '../queue.ts';
import { openRedisQueue } from '../redis-queue.ts';
import type { QueueRig } from './guarantees.ts';

export interface RedisRig extends QueueRig {
  readonly url: string;
  readonly redis: Redis;
  readonly prefix: string;
  /** The line of the clients that `open` gives. */
  readonly proxy: FaultProxy;
  /** A client on a line of its own, which nobody cuts. The caller disposes it. */
  openDirect(): Promise<Queue>;
  /** Of the queue that `open` gives. */
  key(part: 'jobs' | 'delayed' | 'dead'): string;
}

/** `own`: a Redis of its own, that may be killed. It writes each command to its file, and waits for the disk, before it answers. */
export async function startRedisRig({ own = false } = {}): Promise<RedisRig> {
  const stack = new AsyncDisposableStack();
  const server = own
    ? stack.use(await startRedis({ persist: true, args: ['--appendfsync', 'always'] }))
    : { url: inject('redisUrl') };
  const prefix = own ? '' : inject('redisPrefix');
  const redis = stack.adopt(new Redis(server.url), (client) => client.disconnect());
  redis.on('error', () => {}); // it may be killed
  const proxy = stack.use(await startFaultProxy(server.url));
  const queueName = randomUUID();
  const key = (part: string) => `${prefix}queue:{${queueName}}:${part}`;
  return {
    url: server.url,
    redis,
    prefix,
    queueName,
    key,
    proxy,
    openDirect: () => openRedisQueue({ url: server.url, prefix, name: queueName }),
    open: async (options = {}) =>
      stack.use(await openRedisQueue({ url: proxy.url, prefix, name: queueName, ...options })),
    enqueueRaw: (text) => redis.xadd(key('jobs'), '*', 'job', text),
    async whileCut(work) {
      proxy.refuse();
      proxy.cut();
      await until('no connection', () => proxy.connections === 0);
      await work();
      proxy.accept();
    },
    restart:
      'kill' in server
        ? async () => {
            await server.kill('SIGKILL');
            await server.restart();
          }
        : undefined,
    startStuckWorker: (leaseMs) =>
      stack.use(
        startProcess(new URL('stuck-worker.ts', import.meta.url), {
          args: ['redis', queueName, String(leaseMs)],
          env: { REDIS_URL: server.url, REDIS_PREFIX: prefix },
        }),
      ),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
