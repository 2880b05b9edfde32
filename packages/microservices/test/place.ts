/** Where services live in a test: a database and a prefix of their own, and ears on their channels. */
import { randomUUID } from 'node:crypto';
import { createLog } from '@patterns/kit/log';
import { OLDEST } from '@patterns/pub-sub/broker';
import { VERSION } from '@patterns/pub-sub/protocol';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import pg from 'pg';
import { inject } from 'vitest';
import { openBroker } from '../chassis/messaging.ts';

export const quiet = createLog('test');
quiet.silent = true;

/** Where the services of a test live: databases and keys that are gone after it. */
export async function openPlace({ redisUrl = inject('redisUrl') }: { redisUrl?: string } = {}) {
  await using stack = new AsyncDisposableStack();
  const { prefix } = stack.use(redisKeyspace(redisUrl, 'order'));
  const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'order'));
  const pool = stack.adopt(new pg.Pool({ connectionString: databaseUrl, max: 2 }), (each) => each.end());
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  const opened = stack.move();
  return { redisUrl, prefix, databaseUrl, pool, [Symbol.asyncDispose]: () => opened.disposeAsync() };
}

export type Place = Awaited<ReturnType<typeof openPlace>>;

/** What is said on a channel, and what we say. */
export async function openEars({ redisUrl, prefix }: Pick<Place, 'redisUrl' | 'prefix'>, channel: string) {
  const broker = openBroker({ redisUrl, prefix, log: quiet });
  const heard: { id: string; data: unknown; traceparent: string | undefined }[] = [];
  await broker.subscribe(channel, ({ id, data, traceparent }) => void heard.push({ id, data, traceparent }), {
    after: OLDEST,
  });
  return {
    heard,
    say: (to: string, data: { order: string; [field: string]: unknown }, id: string = randomUUID()) =>
      broker.publish({ v: VERSION, id, channel: to, at: Date.now(), data }),
    [Symbol.asyncDispose]: () => broker[Symbol.asyncDispose](),
  };
}
