/** The stage of the demo: a feed of its own, a sender, and a balancer, through which the client reaches one server or the other. */
import { randomUUID } from 'node:crypto';
import { RedisFeed } from '@patterns/feed/redis-feed';
import type { Stage } from '@patterns/kit/demo';
import { envUrl } from '@patterns/kit/env';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import type { Notice } from './protocol.ts';

/** Two seconds instead of thirty: nobody watches an empty poll for half a minute. */
export const SHORT_HOLD_MS = 2_000;

export type Office = Awaited<ReturnType<typeof openOffice>>;

export async function openOffice({ story, signal, use }: Stage) {
  const url = envUrl('REDIS_URL', {
    protocols: ['redis:', 'rediss:'],
    hint: 'pnpm dev:long-polling finds or starts one',
  });
  const key = `${process.env.REDIS_PREFIX ?? 'patterns:long-polling:'}${randomUUID()}`;
  const feed = use(new RedisFeed<Notice>({ url, key }));
  const servers = new Map<string, string>();
  let serving = '';
  let sent = 0;
  const wire = httpWire({
    story,
    client: 'client',
    server: () => serving,
    headers: ['cursor', 'location'],
    body: showBody,
  });
  const balancer = use(await startFaultProxy('http://127.0.0.1:1', wire));
  const start = (name: string, args: string[] = [], env: Record<string, string> = {}) =>
    use(
      startProcess(new URL(name, import.meta.url), {
        args,
        env: { REDIS_URL: url, FEED_KEY: key, LOG_LEVEL: 'warn', CLIENT: 'ann', ...env },
        signal,
      }),
    );
  return {
    balancer,
    start,
    requests: () => wire.requests,
    sent: () => sent,
    async serve(actor: string, file: string, holdMs: number): Promise<ChildProgram> {
      const server = start(file, [], { MAX_HOLD_MS: String(holdMs) });
      servers.set(actor, await server.url());
      this.balanceTo(actor);
      return server;
    },
    urlOf: (actor: string) => servers.get(actor)!,
    balanceTo(actor: string): void {
      serving = actor;
      balancer.target(servers.get(actor)!);
    },
    /** Sends so many messages at once. */
    async send(count: number): Promise<void> {
      const numbers = Array.from({ length: count }, () => ++sent);
      story.act('sender', `sends ${numbers.map((n) => `#${n}`).join(' ')}`);
      await Promise.all(numbers.map((n) => feed.append('messages', { type: 'message', text: `message ${n}`, n })));
    },
    /** A message that is not counted. */
    sendUncounted: () => feed.append('messages', { type: 'message', text: 'for all of you', n: 0 }),
    /** Resolves when the client has asked so often, and the server holds its question. */
    async asked(times: number, waiting: () => Promise<number>): Promise<void> {
      await until(`question ${times} is parked`, async () => wire.requests >= times && (await waiting()) === 1);
    },
  };
}

/** Requests that the sound server has parked. */
export async function parkedAt(url: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  return Number(/^long_polling_parked (\d+)$/m.exec(text)?.[1]);
}

/** Requests for which the naive server looks once a second. */
export async function checkedAt(url: string): Promise<number> {
  return Number(await (await fetch(`${url}/checking`)).text());
}

function showBody(line: string): string {
  const { updates, data = updates } = JSON.parse(line) as Record<'updates' | 'data', { data: Notice }[] | undefined>;
  if (!Array.isArray(data)) return line;
  return data.map(({ data: notice }) => (notice.type === 'message' ? `#${notice.n}` : notice.type)).join(' ');
}

/** Counts what the client printed. @returns how many messages never came, and how long the slowest took. */
export function report({ story }: Stage, part: string, office: Office, client: ChildProgram) {
  const matches = client.lines.items.map((line) => /^#(\d+) .* (\d+) ms/.exec(line)).filter((match) => match !== null);
  const received = matches.map(([, n]) => Number(n));
  const delays = matches.map(([, , delayMs]) => Number(delayMs)).sort((a, b) => a - b);
  const distinct = new Set(received);
  const lost = office.sent() - distinct.size;
  story.measure(part, {
    'messages sent': office.sent(),
    received: received.length,
    lost,
    repeated: received.length - distinct.size,
    'in order': received.every((n, i) => i === 0 || n > received[i - 1]!) ? 'yes' : 'no',
    'delay, median': `${delays[delays.length >> 1]} ms`,
    'delay, worst': `${delays.at(-1)} ms`,
    'requests that reached a server': office.requests(),
    'bytes to the client': office.balancer.bytes.down,
  });
  return { lost, repeated: received.length - distinct.size, worstMs: delays.at(-1) ?? 0 };
}
