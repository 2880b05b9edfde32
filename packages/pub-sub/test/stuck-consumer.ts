/** A member of a group that takes a message and never finishes with it: `node stuck-consumer.ts pubsub|streams <channel> <group>`. */
import { main } from '@patterns/kit/main';
import { RedisPubSub } from '../redis-pubsub.ts';
import { RedisStreams } from '../redis-streams.ts';

await main(async (stack) => {
  const [kind, channel = '', group = ''] = process.argv.slice(2);
  const { REDIS_URL: url = '', REDIS_PREFIX: prefix = '', CLAIM_AFTER_MS } = process.env;
  const claimAfterMs = Number(CLAIM_AFTER_MS);
  const broker = stack.use(
    kind === 'pubsub' ? new RedisPubSub({ url, prefix }) : new RedisStreams({ url, prefix, claimAfterMs }),
  );
  const handler = ({ id }: { id: string }) => {
    console.log(`has ${id}`);
    return new Promise<void>(() => {});
  };
  await broker.subscribe(channel, handler, { group });
  console.log('joined');
});
