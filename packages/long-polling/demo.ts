/**
 * `pnpm dev:long-polling`: eight messages, five of them while the client is between two polls, and a client that leaves. The
 * naive pair is late, loses five, and goes on looking for the client that has left. The sound pair does neither, goes on when
 * server A is killed with -9, and at last wakes a thousand parked requests with one message.
 */
import { type Demo, runDemo, type Stage } from '@patterns/kit/demo';
import type { ChildProgram } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { gatherCrowd } from './demo-crowd.ts';
import { checkedAt, type Office, openOffice, parkedAt, report, SHORT_HOLD_MS } from './demo-office.ts';
import { UPDATES_PATH } from './protocol.ts';

const CROWD = 1_000;

const demo: Demo = {
  actors: ['client', 'server A', 'server B', 'sender', 'worker'],
  naive: {
    about: 'the textbook version: looks once a second, keeps no cursor, and stumbles over its own empty answers',
    async run(stage) {
      const { story } = stage;
      const office = await openOffice(stage);
      await office.serve('server A', 'naive.ts', SHORT_HOLD_MS);
      const waiting = () => checkedAt(office.urlOf('server A'));
      const client = office.start('naive.ts', [office.balancer.url]);
      await office.asked(1, waiting);
      await office.send(1);
      await client.line(/^#1 /);
      await office.asked(2, waiting);
      await until('the hold is over', async () => (await waiting()) === 0);
      story.act('client', 'parses the 204, which has no body: an error, and a pause of 5 seconds');
      await office.send(5);
      await office.asked(3, waiting);
      await office.send(1);
      await client.line(/^#7 /);
      await office.asked(4, waiting);
      await office.send(1);
      await client.line(/^#8 /);
      await office.asked(5, waiting);
      story.fault('the client leaves');
      await client.kill('SIGKILL');
      await until('its connection is gone', () => office.balancer.connections === 0);
      const stillChecked = await waiting();
      story.act('server A', `goes on looking for ${stillChecked} client`);

      const { lost, worstMs } = report(stage, 'naive', office, client);
      story.measure('naive', { 'waiting for a client that left': stillChecked });
      story.claim(`naive: ${lost} messages came between two polls, and were never told`, lost === 5);
      story.claim('naive: news waited for the next look', worstMs >= 500);
      story.claim('naive: the server did not notice that its client had left', stillChecked === 1);
    },
  },
  sound: {
    about: 'parks the question, wakes it when there is news, and every question says where its client is',
    async run(stage) {
      const { story } = stage;
      const office = await openOffice(stage);
      await office.serve('server B', 'server.ts', 30_000);
      const a = await office.serve('server A', 'server.ts', SHORT_HOLD_MS);
      office.start('worker.ts', [], { MAKING_MS: '300' });
      const client = office.start('client.ts', [office.balancer.url]);
      story.tryIt(`curl -i '${office.urlOf('server B')}${UPDATES_PATH}?after=0-0'`);
      const waiting = () => parkedAt(office.urlOf('server A'));
      await office.asked(1, waiting);
      await office.send(1);
      await client.line(/^#1 /);
      await office.asked(3, waiting); // the second was answered 204
      await office.send(5);
      await client.line(/^#6 /);
      await orderReport(stage, office, waiting);
      const leftAt = await killServer(stage, office, a, client);

      const { lost, repeated } = report(stage, 'sound', office, client);
      story.measure('sound', { 'waiting for a client that left': leftAt });
      story.claim('sound: every message arrived, once, over two servers', lost === 0 && repeated === 0);
      story.claim('sound: the server forgot the client when it left', leftAt === 0);
      await wakeCrowd(stage, office);
    },
  },
};

/** The other use of the same waiting. */
async function orderReport({ story }: Stage, office: Office, waiting: () => Promise<number>): Promise<void> {
  await until('the client waits again', async () => (await waiting()) === 1);
  const ordering = office.start('client.ts', [office.balancer.url, 'report', 'Q3']);
  story.act('worker', 'makes a report when one is ordered');
  const { code } = await ordering.exited;
  story.claim('sound: a report was ordered, waited for, and came', code === 0);
}

/** @returns how many requests are parked when the client has left. */
async function killServer({ story }: Stage, office: Office, a: ChildProgram, client: ChildProgram): Promise<number> {
  story.fault('server A is killed with -9; the balancer sends the next request to server B');
  office.balanceTo('server B');
  await a.kill('SIGKILL');
  await office.send(2);
  await client.line(/^#8 /);
  const parked = () => parkedAt(office.urlOf('server B'));
  await until('the client waits at server B', async () => (await parked()) === 1);
  story.fault('the client leaves');
  await client.kill('SIGKILL');
  await until('server B has noticed', async () => (await parked()) === 0);
  story.act('server B', 'has nobody parked');
  return await parked();
}

async function wakeCrowd({ story, use }: Stage, office: Office): Promise<void> {
  const url = office.urlOf('server B');
  const crowd = use(gatherCrowd(url, CROWD));
  await until('the crowd is parked', async () => (await parkedAt(url)) === CROWD);
  story.act('server B', `has ${CROWD.toLocaleString('en')} requests parked, of as many clients`);
  const since = performance.now();
  await office.sendUncounted();
  const { withNews, medianMs, lastMs } = await crowd.woken(since);
  story.act('server B', `has answered ${withNews.toLocaleString('en')} of them after one message`);
  story.measure('sound', {
    [`${CROWD.toLocaleString('en')} parked: half woken after`]: `${medianMs} ms`,
    [`${CROWD.toLocaleString('en')} parked: all woken after`]: `${lastMs} ms`,
  });
  story.claim(`sound: one message woke ${CROWD.toLocaleString('en')} parked requests`, withNews === CROWD);
}

if (import.meta.main) await runDemo(demo);
