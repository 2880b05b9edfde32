/** The limit, and what becomes of it without Redis. */
import type { Stage } from '@patterns/kit/demo';
import type { FaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { type Answer, PATIENCE_MS, type Running, type Scene } from './demo-stage.ts';

/** Of one client in a minute; small, so that a demo reaches it. */
export const LIMIT = 5;

export async function showLimit({ story }: Stage, { ask, goThrough }: Scene, limiting: Running): Promise<void> {
  goThrough(limiting, 'with POWERS=limit, before the same app');
  const answers: Answer[] = [];
  for (let i = 0; i < LIMIT + 2; i++) answers.push(await ask('/api/data'));
  const through = answers.filter(({ status }) => status === 200).length;
  const [refused] = answers.filter(({ status }) => status === 429);
  story.measure('sound', { 'requests let through': `${through} (limit ${LIMIT})` });
  story.claim('sound: the limiter stands before the proxy', through === LIMIT);
  story.claim(
    'sound: 429 says how much and when',
    Boolean(refused?.headers.ratelimit && refused.headers['retry-after']),
  );
}

/** The counters are gone, and come back. */
export async function showRedisAway(
  { story }: Stage,
  { ask, goThrough, quietly }: Scene,
  limiting: Running,
  redis: FaultProxy,
): Promise<void> {
  const logged = (text: string) =>
    limiting.entries.items.find(({ message }) => message.startsWith(`rate limit: Redis is ${text}`));
  goThrough(limiting);
  story.fault('the line to Redis is cut, and stays so');
  redis.refuse();
  redis.cut();
  const alone = await ask('/api/data');
  const policy = await until('the policy in the log', () => logged('away'), { withinMs: PATIENCE_MS });
  story.act('sidecar', `logs "${policy.message}"`);
  redis.accept();
  story.act('Redis', 'can be reached again');
  const askUntilBack = async () => {
    await ask('/api/data');
    return logged('back');
  };
  const back = await quietly(() => until('all sidecars count together', askUntilBack, { withinMs: PATIENCE_MS }));
  story.act('sidecar', `logs "${back.message}"`);
  const together = await ask('/api/data');
  story.claim(
    'sound: without Redis a request is answered, and counted by the sidecar alone',
    alone.status === 200 && 'ratelimit' in alone.headers,
  );
  story.claim('sound: Redis is back, and remembers who was over the limit', together.status === 429);
}
