/**
 * One of several archivists who share the work: each story is filed by one of them, and none is lost when one of them dies.
 * `node worker.ts <redis url of a newsroom>`; start it twice. It reads the same log as the desks, as a member of a group.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { News } from './news.ts';
import { CHANNEL, DEFAULT_PREFIX, type PubSubError } from './protocol.ts';
import { RedisStreams } from './redis-streams.ts';

export const GROUP = 'archive';

if (import.meta.main) {
  await main(async (stack, signal) => {
    const url = process.argv[2];
    if (!url) return console.log('usage: node worker.ts <redis url of a newsroom>   (start one with: node server.ts)');
    const prefix = process.env.REDIS_PREFIX ?? DEFAULT_PREFIX;
    const claimAfterMs = envInteger('CLAIM_AFTER_MS', 60_000, { min: 1 });
    const workMs = envInteger('WORK_MS', 200);
    const onProblem = ({ code, message }: PubSubError) => console.log(`${code}: ${message}`);
    const broker = stack.use(new RedisStreams({ url, prefix, claimAfterMs, onProblem }));
    const file = async ({ data }: { data: unknown }, { position, attempt }: { position?: string; attempt: number }) => {
      const { title } = data as News;
      console.log(`took ${position} ${title}, attempt ${attempt}`);
      await delay(workMs);
      console.log(`filed ${position} ${title}`);
    };
    const subscription = await broker.subscribe(CHANNEL, file, { group: GROUP, signal });
    console.log(`waiting for stories, as a member of ${GROUP}`);
    await subscription.ended;
  });
}
