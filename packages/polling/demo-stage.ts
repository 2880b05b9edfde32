/** The demo's stage: a feed of its own, one server and one client as processes, and between the two a line that can be slow. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisFeed } from '@patterns/feed/redis-feed';
import type { Stage } from '@patterns/kit/demo';
import { envUrl } from '@patterns/kit/env';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { httpWire } from '@patterns/kit/wire';
import { FoldedWire } from './demo-wire.ts';
import { type Change, STATUSES } from './protocol.ts';

/** The pace of both clients in the slow spell: ten times what is usual, so that nobody has to wait for the story. */
export const EVERY_MS = 200;
/** What a request and its answer each take during the spell. */
export const SLOW_MS = 800;

/** Stands for the shop's order 7: both clients watch it. */
export const ORDER = '7';

/** Opens a feed, and a server on it. */
export async function openDesk({ story, signal, use }: Stage, file: string) {
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'pnpm dev:polling finds or starts one' });
  const key = `${process.env.REDIS_PREFIX ?? 'patterns:polling:'}${randomUUID()}`;
  const feed = use(new RedisFeed<Change>({ url, key }));
  const start = (name: string, args: string[], env: Record<string, string> = {}) =>
    use(
      startProcess(new URL(name, import.meta.url), {
        args,
        env: { FEED_KEY: key, LOG_LEVEL: 'warn', INTERVAL_S: '0', MAX_PER_MINUTE: '0', ...env },
        signal,
      }),
    );
  const server = await start(file, []).url();
  return {
    server,
    start,
    /** The next step of order 7. */
    async step(version: number) {
      const status = STATUSES[version - 1]!;
      await feed.append(ORDER, { status, version });
      story.act('shop', `order ${ORDER} is ${status} (version ${version})`);
    },
    /** A proxy in front of the server, which shows what goes through it. */
    async line(headers: string[]) {
      const shown = new FoldedWire(story);
      const wire = httpWire({ story: shown, client: 'client', server: 'server', headers });
      const proxy = use(await startFaultProxy(server, wire));
      return {
        proxy,
        requests: () => wire.requests,
        notModified: () => shown.notModified,
        tellRepeated: () => shown.tellRepeated(),
      };
    },
  };
}

export type Desk = Awaited<ReturnType<typeof openDesk>>;

/** The spell: order 7 moves on while everything takes long, and once more when the server is fast again. */
export async function slowSpell(
  { story, signal }: Stage,
  desk: Desk,
  { headers, start }: { headers: string[]; start: (url: string) => ChildProgram },
) {
  const line = await desk.line(headers);
  await desk.step(1);
  const client = start(line.proxy.url);
  await client.line(/version 1 /);
  await desk.step(2);
  await client.line(/version 2 /);

  line.tellRepeated();
  story.fault(`a slow spell: a question takes ${SLOW_MS} ms to get to the server, and so does its answer`);
  line.proxy.delay(SLOW_MS);
  await desk.step(3);
  // A question that is under way holds its connection: as many connections, as many questions.
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, line.proxy.connections)), 20);
  await client.line(/version 3 /).finally(() => clearInterval(watch));
  line.tellRepeated();
  story.act('client', `questions under way at a time: ${most}`);
  await desk.step(4);
  story.fault('the spell is over');
  line.proxy.delay(0);
  await client.line(/version 4 /);
  // What was still under way arrives now.
  await delay(SLOW_MS + EVERY_MS, undefined, { signal });
  await desk.step(5);
  await client.line(/version 5 /);
  return { line, client, most };
}
