/**
 * `pnpm dev:sse`: thirty prices, and a line that is cut for two seconds while they go by. The naive client never learns what
 * it missed. The sound one resumes, and when server A is killed with -9 it goes on at server B.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Demo, runDemo, type Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { showFrame } from './demo-wire.ts';
import { PATH } from './protocol.ts';

const SENT = 30;

const demo: Demo = {
  actors: ['client', 'server A', 'server B', 'exchange'],
  naive: {
    about: 'the textbook version: events have no ids, and a client that comes back takes what comes next',
    async run(stage) {
      const market = await openMarket(stage);
      await market.serve('server A', 'naive.ts');
      const client = await market.subscribe('naive.ts');
      market.open();
      await cutForTwoSeconds(stage, market, client);
      await client.line(/closed/);
      const lost = report(stage, 'naive', market, client);
      stage.story.claim(`naive: the cut cost ${lost} prices, and nobody was told`, lost > 0);
    },
  },
  sound: {
    about: 'every event has an id, any server can resume from it',
    async run(stage) {
      const market = await openMarket(stage);
      await market.serve('server B', 'server.ts');
      const a = await market.serve('server A', 'server.ts');
      const client = await market.subscribe('client.ts');
      stage.story.tryIt(`curl -N '${market.url}${PATH}?after=0-0'`);
      market.open();
      await cutForTwoSeconds(stage, market, client);
      await client.line(/^#22 /);
      stage.story.fault('server A is killed with -9; the balancer sends the next request to server B');
      market.balanceTo('server B');
      await a.kill('SIGKILL');
      const { code } = await client.exited;
      const lost = report(stage, 'sound', market, client);
      stage.story.claim(
        'sound: a cut line and a killed server, and every price arrived, once and in order',
        lost === 0,
      );
      stage.story.claim('sound: 204 at the end, and the client stopped asking', code === 0);
    },
  },
};

/** The stage: an exchange, a feed of its own, and a balancer, through which the client reaches one server or the other. */
async function openMarket({ story, signal, use }: Stage) {
  const servers = new Map<string, string>();
  let serving = '';
  const wire = httpWire({
    story,
    client: 'client',
    server: () => serving,
    headers: ['last-event-id'],
    body: showFrame(),
  });
  const balancer = use(await startFaultProxy('http://127.0.0.1:1', wire));
  const start = (name: string, args: string[] = [], env: Record<string, string> = {}) =>
    use(
      startProcess(new URL(name, import.meta.url), {
        args,
        env: { FEED_KEY: feedKey, LOG_LEVEL: 'warn', ...env },
        signal,
      }),
    );
  const feedKey = `${process.env.REDIS_PREFIX ?? 'patterns:sse:'}${randomUUID()}`;
  return {
    url: balancer.url,
    balancer,
    requests: () => wire.requests,
    async serve(actor: string, file: string): Promise<ChildProgram> {
      const server = start(file, [], { RETRY_MS: '500' });
      servers.set(actor, await server.url());
      this.balanceTo(actor);
      return server;
    },
    balanceTo(actor: string) {
      serving = actor;
      balancer.target(servers.get(actor)!);
    },
    async subscribe(file: string): Promise<ChildProgram> {
      const client = start(file, [balancer.url]);
      await until('the client has asked', () => wire.requests > 0);
      return client;
    },
    open() {
      story.act('exchange', `publishes ${SENT} prices, five a second`);
      start('exchange.ts', [], { EVERY_MS: '200', COUNT: String(SENT) });
    },
  };
}

type Market = Awaited<ReturnType<typeof openMarket>>;

async function cutForTwoSeconds({ story, signal }: Stage, { balancer }: Market, client: ChildProgram): Promise<void> {
  await client.line(/^#4 /);
  story.fault('the line is cut for two seconds; the exchange goes on');
  balancer.refuse();
  balancer.cut();
  await delay(2_000, undefined, { signal });
  balancer.accept();
  story.act('client', 'may connect again');
}

/** Counts what the client printed. @returns how many prices never came. */
function report({ story }: Stage, part: string, market: Market, client: ChildProgram): number {
  const matches = client.lines.items.map((line) => /^#(\d+) .* (\d+) ms/.exec(line)).filter((match) => match !== null);
  const received = matches.map(([, n]) => Number(n));
  const delays = matches.map(([, , delayMs]) => Number(delayMs)).sort((a, b) => a - b);
  const distinct = new Set(received);
  const ordered = received.every((n, i) => i === 0 || n > received[i - 1]!);
  story.measure(part, {
    'prices sent': SENT,
    received: received.length,
    lost: SENT - distinct.size,
    repeated: received.length - distinct.size,
    'in order': ordered ? 'yes' : 'no',
    'delay, median': `${delays[delays.length >> 1]} ms`,
    'delay, worst': `${delays.at(-1)} ms`,
    'requests that reached a server': market.requests(),
    'bytes to the client': market.balancer.bytes.down,
  });
  return ordered ? SENT - distinct.size : SENT;
}

if (import.meta.main) await runDemo(demo);
