/**
 * `pnpm dev:pub-sub`: three faults. A subscriber's connection is killed while news is published; a subscriber is paused until Redis
 * drops it; a consumer is killed in the middle of its work. The naive pair loses news each time and does not know. The sound one names
 * each gap and fills it, and another worker takes over.
 */
import { type Demo, runDemo, type Stage } from '@patterns/kit/demo';
import { openStage, type Room, storiesOf } from './demo-stage.ts';
import { logKey } from './log.ts';
import { CHANNEL } from './protocol.ts';
import { GROUP } from './worker.ts';

/** Some hundred of these fill the buffers of two sockets, which take megabytes before Redis' own begins to fill. */
const BIG_STORY = 'x'.repeat(60_000);
const KILL = 'CLIENT KILL: the connection of the desk is gone while three stories are published';

const demo: Demo = {
  actors: ['Redis', 'newsroom', 'desk', 'worker A', 'worker B'],
  naive: {
    about: 'the textbook version: PUBLISH and SUBSCRIBE, and nothing behind them',
    async run(stage) {
      const { story } = stage;
      const room = await openStage(stage);
      const [deskLine, newsLine] = [await room.line('desk'), await room.line('newsroom')];
      story.act('desk', 'its line is 50 ms slower than that of the publisher, which waits for nobody');
      deskLine.proxy.delay(50);
      const desk = room.start('naive.ts', [deskLine.proxy.url], { PUBLISHER_URL: newsLine.proxy.url });
      await desk.line(/^Subscribed to 1 /);
      deskLine.proxy.delay(0);

      const publisher = room.connect(newsLine.proxy.url);
      const heard = new Set<number>();
      let n = 1; // the textbook has published the first one
      const publish = (content = 'Important update!') =>
        publisher.publish(CHANNEL, JSON.stringify({ title: `Story ${++n}`, content }));
      let lostBefore = 0;
      /** One more story, which is heard; what was not heard until then is lost. */
      const lostSince = async (program = desk) => {
        await publish();
        await program.line(new RegExp(`"Story ${n}"`));
        for (const each of storiesOf(program, /"Story (\d+)"/)) heard.add(each);
        const lost = n - heard.size - lostBefore;
        lostBefore += lost;
        return lost;
      };
      const early = await lostSince();

      story.fault(KILL);
      await room.killSubscriber(deskLine, async () => {
        for (let i = 0; i < 3; i++) await publish();
      });
      const killed = await lostSince();
      await room.pauseUntilDropped(desk, [deskLine, newsLine], () => publish(BIG_STORY));
      const paused = await lostSince();

      story.fault('the desk is killed with -9 before it hears of the next story; a new one is started');
      await desk.kill('SIGKILL');
      await room.subscribers(0);
      await publish();
      const next = room.start('naive.ts', [deskLine.proxy.url], { COUNT: '0' });
      await next.line(/^Subscribed to 1 /);
      const died = await lostSince(next);

      story.measure('naive', measured({ published: n, early, killed, paused, died }));
      story.claim('naive: published before the subscription was acknowledged, and never heard', early === 1);
      story.claim(
        `naive: ${killed + paused} stories went by while it was away, and nobody was told`,
        killed === 3 && paused > 0,
      );
      story.claim('naive: what comes while a consumer is dead is lost', died === 1);
    },
  },
  sound: {
    about: 'numbers find the gap, a log fills it, a group outlives its members',
    async run(stage) {
      const { story } = stage;
      const room = await openStage(stage);
      const [deskLine, newsLine] = [await room.line('desk'), await room.line('newsroom')];
      const server = room.start('server.ts', [], { REDIS_URL: newsLine.proxy.url });
      const url = await server.url();
      story.tryIt(`redis-cli -u ${room.url} SUBSCRIBE ${CHANNEL}`);
      story.tryIt(`redis-cli -u ${room.url} XREAD STREAMS '${logKey('', CHANNEL)}' 0`);
      story.tryIt(`curl -H 'Content-Type: application/json' -d '{"title":"Extra","content":"!"}' ${url}/news`);
      let n = 0;
      const publish = async (content = 'Important update!') => {
        const body = JSON.stringify({ title: `Story ${++n}`, content });
        await fetch(`${url}/news`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
      };
      await publish(); // before anybody listens
      const desk = room.start('client.ts', [deskLine.proxy.url, '0-0'], { LOOK_EVERY_MS: '1000' });
      const hears = () => desk.line(new RegExp(`^#${n} `));
      await hears();

      story.fault(KILL);
      await room.killSubscriber(deskLine, async () => {
        for (let i = 0; i < 3; i++) await publish();
      });
      await hears();
      const gap = await desk.line(/^gap: /);
      story.act('desk', gap);
      const pausedAt = n + 1;
      await room.pauseUntilDropped(desk, [deskLine, newsLine], () => publish(BIG_STORY));
      await hears();
      story.act('desk', await desk.line(/^gap: /));

      const died = await takeOver(stage, room, publish);
      await hears();
      const heard = storiesOf(desk, /^#(\d+) /);
      const lost = (from: number, to: number) =>
        to - from + 1 - new Set(heard.filter((n) => n >= from && n <= to)).size;
      const [early, killed, paused] = [lost(1, 1), lost(2, pausedAt - 1), lost(pausedAt, n)];
      const inOrder = heard.length === n && heard.every((each, i) => each === i + 1);
      story.measure('sound', measured({ published: n, early, killed, paused, died }));
      story.claim('sound: what worker A had in hand, worker B filed', died === 0);
      story.claim('sound: the gap was named, and by the subscriber itself', gap.startsWith('gap: #2 to #4 '));
      story.claim(`sound: all ${n} stories, each once and in order`, inOrder);
    },
  },
};

/** A worker is killed with a story in its hands; another member of its group has it afterwards. @returns stories nobody filed. */
async function takeOver({ story }: Stage, room: Room, publish: () => Promise<void>): Promise<number> {
  const env = { CLAIM_AFTER_MS: '1000' };
  const [lineA, lineB] = [await room.line('worker A'), await room.line('worker B')];
  const a = room.start('worker.ts', [lineA.proxy.url], { ...env, WORK_MS: '60000' });
  await a.line(/^waiting/);
  await publish();
  const taken = await a.line(/^took /);
  story.act('worker A', taken);
  story.fault('worker A is killed with -9 in the middle of its work');
  await a.kill('SIGKILL');
  const b = room.start('worker.ts', [lineB.proxy.url], env);
  story.act('worker B', await b.line(/^took /));
  const filed = await b.line(/^filed /);
  story.act('worker B', filed);
  await room.acknowledged(GROUP);
  return filed.split(' ')[1] === taken.split(' ')[1] ? 0 : 1;
}

function measured({
  published,
  early,
  killed,
  paused,
  died,
}: Record<'published' | 'early' | 'killed' | 'paused' | 'died', number>) {
  return {
    'stories published': published,
    'lost before the subscription': early,
    'lost by the killed connection': killed,
    'lost by the pause': paused,
    'lost by the dead consumer': died,
    'lost in all': early + killed + paused + died,
  };
}

if (import.meta.main) await runDemo(demo);
