/**
 * `pnpm dev:polling`: one order, and a server that is slow for a while. The naive client asks on regardless, and shows an old
 * state after a new one. The sound one has one question under way, and stops when the order is delivered. Then the trade that
 * polling is: at three intervals, how many polls are for nothing, and how late the news is.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { type Demo, runDemo, type Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { type Desk, EVERY_MS, ORDER, openDesk, slowSpell } from './demo-stage.ts';
import { ORDERS_PATH, UPDATES_PATH } from './protocol.ts';

/** Changes for the three intervals, and how far apart they are on average: 5 s in all. */
const CHANGES = 25;
const CHANGE_EVERY_MS = 200;
const INTERVALS_MS = [50, 250, 1_250];

const demo: Demo = {
  actors: ['client', 'server', 'shop'],
  naive: {
    about: 'the textbook version: setInterval, and everything each time',
    async run(stage) {
      const desk = await openDesk(stage, 'naive.ts');
      const every = { EVERY_MS: String(EVERY_MS) };
      const { line, client, most } = await slowSpell(stage, desk, {
        headers: [],
        start: (url) => desk.start('naive.ts', [url], every),
      });
      const asked = line.requests();
      await delay(1_000, undefined, { signal: stage.signal });
      line.tellRepeated();
      const inVain = line.requests() - asked;
      const older = report(stage, 'naive', { line, client, most });
      stage.story.claim(`naive: in the slow spell ${most} questions were under way at a time`, most > 3);
      stage.story.claim(`naive: an older state was shown after a newer one, ${older} times`, older > 0);
      stage.story.claim(`naive: asked ${inVain} times more in a second after the order was delivered`, inVain > 1);
    },
  },
  sound: {
    about: 'the next question when the last one is answered, and a tag that says what is known already',
    async run(stage) {
      const { story } = stage;
      const desk = await openDesk(stage, 'server.ts');
      story.tryIt(`curl -i '${desk.server}${UPDATES_PATH}?after=0-0'`);
      story.tryIt(`curl -i ${desk.server}${ORDERS_PATH}/${ORDER}`);
      const pace = { MIN_MS: String(EVERY_MS), MAX_MS: String(EVERY_MS) };
      const { line, client, most } = await slowSpell(stage, desk, {
        headers: ['if-none-match', 'etag'],
        start: (url) => desk.start('client.ts', [url, ORDER], pace),
      });
      const { code } = await client.exited;
      line.tellRepeated();
      const older = report(stage, 'sound', { line, client, most });
      story.claim('sound: in the slow spell one question was under way at a time', most === 1);
      story.claim('sound: no older state was shown after a newer one', older === 0);
      story.claim(`sound: nothing new was nothing sent: 304, ${line.notModified()} times`, line.notModified() > 0);
      story.claim('sound: the order was delivered, and the client stopped asking', code === 0);
      await compareIntervals(stage, desk);
    },
  },
};

type Spell = Awaited<ReturnType<typeof slowSpell>>;

/** @returns how often the client showed an older state after a newer one. */
function report({ story }: Stage, part: string, { line, client, most }: Spell): number {
  const versions = client.lines.items.flatMap((line) => /version (\d+)/.exec(line)?.[1] ?? []).map(Number);
  const older = versions.filter((version, i) => i > 0 && version < versions[i - 1]!).length;
  story.act('client', `showed the versions ${versions.join(', ')}`);
  story.measure(part, {
    'questions at a time, most': most,
    'older state after a newer one': older,
    polls: line.requests(),
    'answered 304': line.notModified(),
    'bytes to the client': line.proxy.bytes.down,
  });
  return older;
}

/** Three clients, each with an interval of its own, hear the same changes. */
async function compareIntervals({ story, signal, use }: Stage, desk: Desk): Promise<void> {
  story.act('client', `three of them now, which ask every ${INTERVALS_MS.join(', ')} ms; the wire is no longer shown`);
  const clients = await Promise.all(
    INTERVALS_MS.map(async (everyMs) => {
      let empty = 0;
      let polls = 0;
      const proxy = use(
        await startFaultProxy(desk.server, {
          onData(chunk, { direction }) {
            if (direction !== 'down') return;
            polls += 1; // an answer is one chunk here
            if (!chunk.includes('"hasNew":true')) empty += 1;
          },
        }),
      );
      const env = { MIN_MS: String(everyMs), MAX_MS: String(everyMs), AFTER: '0-0' };
      const program = desk.start('client.ts', [proxy.url], env);
      await program.line(/version 5 /); // those of order 7
      return { everyMs, proxy, program, counts: () => ({ polls, empty, bytes: proxy.bytes.down }) };
    }),
  );
  const before = clients.map(({ program, counts }) => ({ ...counts(), lines: program.lines.items.length }));
  story.act('shop', `${CHANGES} changes, at random, ${CHANGE_EVERY_MS} ms apart on average`);
  desk.start('shop.ts', [], { EVERY_MS: String(CHANGE_EVERY_MS), COUNT: String(CHANGES) });
  const means: number[] = [];
  for (const [i, { everyMs, program, counts }] of clients.entries()) {
    const from = before[i]!;
    const heard = () => program.lines.items.slice(from.lines);
    await until(`${CHANGES} changes`, () => heard().length >= CHANGES, { withinMs: 20_000, signal });
    const { polls, empty, bytes } = counts();
    const stalenessMs = heard().map((line) => Number(/(\d+) ms$/.exec(line)?.[1]));
    const meanMs = Math.round(stalenessMs.reduce((sum, each) => sum + each, 0) / stalenessMs.length);
    means.push(meanMs);
    story.measure(`every ${everyMs} ms`, {
      polls: polls - from.polls,
      'polls without news': `${Math.round((100 * (empty - from.empty)) / (polls - from.polls))} %`,
      'bytes to the client': bytes - from.bytes,
      'changes heard': heard().length,
      'staleness, mean': `${meanMs} ms`,
      'staleness, worst': `${Math.max(...stalenessMs)} ms`,
    });
    const changes = heard().map((line) => /order \d+ {2}version \d+/.exec(line)?.[0]);
    const isComplete = changes.length === CHANGES && new Set(changes).size === CHANGES;
    story.claim(`every ${everyMs} ms: all ${CHANGES} changes arrived, once`, isComplete);
  }
  story.claim('the less often it asks, the older its news', means[0]! < means[1]! && means[1]! < means[2]!);
}

if (import.meta.main) await runDemo(demo);
