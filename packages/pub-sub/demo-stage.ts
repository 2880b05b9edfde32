/** The demo's stage: a Redis of its own, since it changes a limit, and a line to it for each actor on which we listen in. */
import type { Stage } from '@patterns/kit/demo';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { Redis } from 'ioredis';
import { redisWire } from './demo-wire.ts';
import { groupsOf } from './group-ledger.ts';
import { logKey } from './log.ts';
import { subscribersOf } from './metrics.ts';
import { CHANNEL } from './protocol.ts';

/** What may wait in Redis for one subscriber; 32 MB is its default, and would take a while to fill. */
const BUFFER_LIMIT = '256kb';

export interface Line {
  proxy: FaultProxy;
  wire: ReturnType<typeof redisWire>;
}

export async function openStage({ story, signal, use }: Stage) {
  const redis = use(await startRedis({ signal, args: ['--client-output-buffer-limit', `pubsub ${BUFFER_LIMIT} 0 0`] }));
  const stack = use(new AsyncDisposableStack());
  const connect = (url: string) => stack.adopt(new Redis(url), (client) => client.disconnect());
  const admin = connect(redis.url);
  const subscribers = async (expected: number) =>
    await until(`${expected} subscribers`, async () => (await subscribersOf(admin, CHANNEL)) === expected, { signal });
  return {
    url: redis.url,
    connect,
    async line(actor: string): Promise<Line> {
      const wire = redisWire(story, actor);
      return { proxy: use(await startFaultProxy(redis.url, wire)), wire };
    },
    start(file: string, args: string[], env: Record<string, string> = {}): ChildProgram {
      const settings = { REDIS_PREFIX: '', LOG_LEVEL: 'error', ...env };
      return use(startProcess(new URL(file, import.meta.url), { args, env: settings, signal }));
    },
    subscribers,
    acknowledged: async (group: string) =>
      await until('the acknowledgement', async () =>
        (await groupsOf(admin, logKey('', CHANNEL))).some(({ name, pending }) => name === group && pending === 0),
      ),
    /** Kills the connection of whoever is subscribed; the line stays down while `work` runs. */
    async killSubscriber({ proxy }: Line, work: () => Promise<void>): Promise<void> {
      proxy.refuse();
      await admin.client('KILL', 'TYPE', 'PUBSUB');
      await subscribers(0);
      await work();
      proxy.accept();
      await subscribers(1);
    },
    /** Pauses the program for real, and publishes until Redis has had enough of it; then lets it go on. */
    async pauseUntilDropped(
      program: ChildProgram,
      lines: readonly Line[],
      publish: () => Promise<unknown>,
    ): Promise<void> {
      story.fault('SIGSTOP: the desk is paused, and knows nothing of it; the newsroom goes on with big stories');
      for (const { wire } of lines) wire.quiet = true;
      process.kill(program.pid, 'SIGSTOP');
      let published = 0;
      for (; (await subscribersOf(admin, CHANNEL)) > 0; published++) await publish();
      story.act('Redis', `after ${published} stories more than ${BUFFER_LIMIT} waited for the desk: it is cut off`);
      story.act(
        'desk',
        'SIGCONT: it goes on, reads what was still on the line, and finds that there is no line any more',
      );
      process.kill(program.pid, 'SIGCONT');
      await subscribers(1);
      for (const { wire } of lines) wire.quiet = false;
    },
  };
}

export type Room = Awaited<ReturnType<typeof openStage>>;

/** The numbers of the stories that a program printed, in its order. */
export function storiesOf({ lines }: ChildProgram, pattern: RegExp): number[] {
  return lines.items.map((line) => Number(pattern.exec(line)?.[1])).filter((n) => !Number.isNaN(n));
}
