/**
 * What the delivery contract needs of Redis itself: what delivers here is the broker, so it is Redis that is killed with -9, restarted, stopped
 * with SIGTERM and stalled. It keeps its data in a file, and cuts off a subscriber for whom a megabyte waits.
 */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startRedis } from '@patterns/services/start-redis';
import { Redis } from 'ioredis';
import type { Broker } from '../broker.ts';
import { Newsroom } from '../newsroom.ts';
import { CHANNEL, type PubSubError } from '../protocol.ts';

export type Subscribe = (url: string, options: { after: string; signal: AbortSignal }) => AsyncIterable<{ id: string }>;

const story = (bytes = 0) => ({ title: 'Breaking News', content: 'x'.repeat(bytes) });
export const refusals = { malformed: /^cursor-malformed/, expired: /^cursor-expired/ };

interface Subject {
  subscribe: Subscribe;
  /** Redis' own count of who is there. */
  open: (redis: Redis) => Promise<number>;
}

export async function startRedisRig({ subscribe, open }: Subject) {
  const stack = new AsyncDisposableStack();
  const limit = ['--client-output-buffer-limit', 'pubsub 1mb 0 0'];
  const redis = stack.use(await startRedis({ persist: true, args: limit }));
  const proxy = stack.use(await startFaultProxy(redis.url));
  const newsroom = stack.use(new Newsroom({ url: redis.url }));
  const watch = stack.adopt(new Redis(redis.url, { retryStrategy: () => 20 }), (client) => client.disconnect());
  watch.on('error', () => {}); // it is killed in some of the tests
  const append = async (bytes?: number) => {
    for (;;) {
      try {
        return await newsroom.publish(story(bytes));
      } catch {
        // Redis is being restarted.
      }
    }
  };
  return {
    url: redis.url,
    proxy,
    append,
    subscribe,
    async restartServer() {
      await redis.kill('SIGKILL');
      await redis.restart();
    },
    async stopServer() {
      await redis.kill('SIGTERM');
      return 0; // what ends by itself within the deadline has not been killed; the code itself is not told
    },
    openStreams: () => open(watch),
    async expire() {
      const { id } = await append();
      await using forgetful = new Newsroom({ url: redis.url, retain: 5 });
      for (let n = 0; n < 10; n++) await forgetful.publish(story());
      return id;
    },
    async ask(cursor: string) {
      await using events = EventQueue.from((signal) => subscribe(redis.url, { after: cursor, signal }));
      const refused = (error: PubSubError) => `${error.code ?? ''} ${error.message}`;
      return await events.next({ withinMs: 2_000 }).then(({ id }) => `event ${id}`, refused);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export async function subscribers(redis: Redis): Promise<number> {
  const [, count] = (await redis.pubsub('NUMSUB', CHANNEL)) as [string, number];
  return count;
}

/** Those whose XREAD waits for news. One that has an answer in its buffers waits for nothing: that answer is all that is kept for it. */
export async function waitingReaders(redis: Redis): Promise<number> {
  return Number(/^blocked_clients:(\d+)/m.exec(await redis.info('clients'))?.[1]);
}

/** A broker's subscription as an iterable: the next message is not taken before this one has been. */
export async function* overBroker(broker: Broker, { after, signal }: { after?: string; signal: AbortSignal }) {
  await using _broker = broker;
  const waiting: { id: string }[] = [];
  let [wake, taken] = [() => {}, () => {}];
  const over = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  void over.then(() => [wake(), taken()]);
  const handler = ({ seq }: { seq?: number }, { position }: { position?: string }) => {
    waiting.push({ id: position ?? `0-${seq}` });
    wake();
    return new Promise<void>((resolve) => (taken = resolve));
  };
  const subscription = await broker.subscribe(CHANNEL, handler, after === undefined ? {} : { after });
  let failure: unknown;
  subscription.ended.catch((error) => {
    failure = error;
    wake();
  });
  while (!signal.aborted) {
    const next = waiting.shift();
    if (next) {
      yield next;
      taken();
    } else if (failure) throw failure;
    else await new Promise<void>((resolve) => (wake = resolve));
  }
}
