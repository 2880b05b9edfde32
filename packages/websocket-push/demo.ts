/**
 * `pnpm dev:websocket-push`: twenty-five notices, a server that is killed with -9 while they go up, and a line that falls silent
 * without being closed. The naive client loses what went by, then waits on the silent line for ever. The sound one resumes at
 * the other server, finds the silence, and resumes again; and what was said in the moment of the kill is in the room once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { type Demo, runDemo, type Stage } from '@patterns/kit/demo';
import { envUrl } from '@patterns/kit/env';
import type { ChildProgram } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { openChat } from './client.ts';
import { newFeedKey, openStage, SENT } from './demo-stage.ts';
import { type ChatData, PATHS, ROOM } from './protocol.ts';

const demo: Demo = {
  actors: ['bob', 'server A', 'server B', 'ann', 'caretaker'],
  naive: {
    about: 'the textbook version: an interval per connection, and whoever comes back takes what comes next',
    async run(stage) {
      const { story, signal } = stage;
      const room = await openStage(stage, newFeedKey());
      const [a, b] = await Promise.all([room.serve('server A', 'naive.ts'), room.serve('server B', 'naive.ts')]);
      room.balanceTo('server A');
      const door = await room.openDoor('bob');
      const bob = room.start('naive.ts', [door.url]);
      await door.connected();
      const caretaker = room.announce();

      await bob.line(/^notice #4 /);
      story.fault('server A is killed with -9; the balancer sends the next connection to server B');
      room.balanceTo('server B');
      await a.kill('SIGKILL');

      await bob.line(/^notice #12 /);
      story.fault("bob's line falls silent: not closed, only silent; a new connection would find another way");
      await door.silence();
      await caretaker.exited;
      await delay(1_500, undefined, { signal }); // as long as the sound one needs, and more
      const handshakes = door.handshakes();
      story.act('bob', 'still believes that it is connected');
      await bob.kill('SIGTERM');
      const held = await (await fetch(room.urlOf('server B'), { signal })).text();
      story.act('server B', `has lost its only client, and holds ${held}`);
      await b.kill('SIGKILL'); // told to stop, it would wait for that client

      const lost = report(stage, 'naive', bob);
      story.measure('naive', { 'silence found': 'never', handshakes, 'bytes to bob': door.bytes.down });
      story.measure('naive', { 'sockets left at the server': JSON.parse(held).sockets });
      story.claim(`naive: a killed server and a silent line cost ${lost} notices, and nobody was told`, lost > 0);
      story.claim('naive: the client did not find the silence', handshakes === 2);
      story.claim(
        'naive: the server keeps the socket and the timer of a client that has gone',
        /"sockets":1,"timers":1/.test(held),
      );
    },
  },
  sound: {
    about: 'a ticket to get in, a cursor to go on, an acknowledgement for what was said, a tick for who is still there',
    async run(stage) {
      const { story, signal, use } = stage;
      const feedKey = newFeedKey();
      const room = await openStage(stage, feedKey);
      const [a] = await Promise.all([room.serve('server A', 'server.ts'), room.serve('server B', 'server.ts')]);
      room.balanceTo('server A');
      const door = await room.openDoor('bob');
      const bob = room.start('client.ts', [door.url, 'bob']);
      await door.connected();
      const annsDoor = await room.openDoor('ann', (line) => /^(say|ack|welcome)/.test(line));
      const ann = await joinAs('ann', annsDoor.url, stage);
      story.tryIt(`curl -X POST -H 'Content-Type: application/json' -d '{"name":"eve"}' ${door.url}${PATHS.login}`);
      await ann.say('hello bob');
      room.announce();

      await bob.line(/^notice #4 /);
      story.fault('ann says something, server A is killed with -9, the balancer sends the next connection to server B');
      room.balanceTo('server B');
      const said = ann.say('can you hear me?');
      await a.kill('SIGKILL');
      await said;

      await bob.line(/^notice #12 /);
      story.fault("bob's line falls silent: not closed, only silent; a new connection finds another way");
      const silentAt = performance.now();
      await door.silence();
      await until('bob has found it', () => door.handshakes() === 3, { signal });
      const foundMs = Math.round(performance.now() - silentAt);
      story.act('bob', `has heard nothing for 1.5 s, and takes another line`);
      await bob.line(new RegExp(`^notice #${SENT} `));
      const handshakes = door.handshakes();
      await Promise.all([bob.kill('SIGTERM'), ann.leave()]);
      const left = await openConnections(room.urlOf('server B'), signal);

      const feed = use(new RedisFeed<ChatData>({ url: envUrl('REDIS_URL', REDIS), key: feedKey }));
      const inRoom = (await feed.read({ topic: ROOM })).filter(({ data }) => data.text === 'can you hear me?').length;
      const lost = report(stage, 'sound', bob);
      story.measure('sound', { 'silence found': `${foundMs} ms`, handshakes, 'bytes to bob': door.bytes.down });
      story.measure('sound', {
        'sockets left at the server': left,
        'said in the moment of the kill, in the room': inRoom,
      });
      story.claim('sound: a killed server and a silent line, and every notice arrived, once and in order', lost === 0);
      story.claim('sound: the silence was found, by both sides', foundMs < 5_000 && left === 0);
      story.claim('sound: what was said in the moment of the kill is in the room, once', inRoom === 1);
    },
  },
};

const REDIS = { protocols: ['redis:', 'rediss:'], hint: 'pnpm dev:websocket-push finds or starts one' };

/** Somebody in this process, who talks, and listens to no end. */
async function joinAs(name: string, url: string, { signal, use }: Stage) {
  const leaving = new AbortController();
  const chat = openChat(url, { name, signal: AbortSignal.any([signal, leaving.signal]), silenceMs: 1_500 });
  const listening = (async () => {
    for await (const _event of chat.messages);
  })();
  const leave = async () => {
    leaving.abort();
    await listening;
  };
  use({ [Symbol.asyncDispose]: leave });
  return { say: (text: string) => chat.say(text), leave };
}

/** What the server holds when all have left, at the latest two heartbeats later. */
async function openConnections(url: string, signal: AbortSignal): Promise<number> {
  const ask = async () => {
    const text = await (await fetch(`${url}/metrics`, { signal })).text();
    return Number(/^ws_open_connections (\d+)$/m.exec(text)?.[1]);
  };
  await until('nobody is left', async () => (await ask()) === 0, { signal, withinMs: 5_000 }).catch(() => {});
  return ask();
}

/** Counts the notices that the client printed. @returns how many never came. */
function report({ story }: Stage, part: string, client: ChildProgram): number {
  const numbers = client.lines.items.map((line) => Number(/^notice #(\d+) /.exec(line)?.[1]));
  const received = numbers.filter((n) => !Number.isNaN(n));
  const distinct = new Set(received);
  const ordered = received.every((n, i) => i === 0 || n > received[i - 1]!);
  story.measure(part, {
    'notices sent': SENT,
    received: received.length,
    lost: SENT - distinct.size,
    repeated: received.length - distinct.size,
    'in order': ordered ? 'yes' : 'no',
  });
  return ordered ? SENT - distinct.size : SENT;
}

if (import.meta.main) await runDemo(demo);
