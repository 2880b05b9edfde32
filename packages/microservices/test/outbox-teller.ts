/** Writes events into the outbox of DATABASE_URL, and carries them to REDIS_URL until it is killed. */
import { inTransaction } from '@patterns/connection-pooling/transaction';
import { main } from '@patterns/kit/main';
import { ensureSchema, openDatabase } from '../chassis/database.ts';
import { envDatabase, envRedis } from '../chassis/entry.ts';
import { openBroker } from '../chassis/messaging.ts';
import { OUTBOX_SCHEMA, startOutboxRelay, toBroker, writeOutbox } from '../chassis/outbox.ts';
import { log } from './stage.ts';

await main(async (stack) => {
  const databaseUrl = envDatabase();
  const database = stack.use(openDatabase({ url: databaseUrl, log }));
  await ensureSchema(database, OUTBOX_SCHEMA);
  const events = Array.from({ length: Number(process.env.EVENTS) }, (_, i) => ({
    channel: 'orders',
    id: `order:${i}`,
    data: { n: i },
  }));
  await inTransaction(database, (client) => writeOutbox(client, events));
  const broker = stack.use(openBroker({ ...envRedis(), log }));
  stack.use(startOutboxRelay({ databaseUrl, queue: toBroker(broker), log }));
  console.log('running');
});
