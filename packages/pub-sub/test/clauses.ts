/** What each clause of a broker's guarantees promises, and how that is checked. */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { until, within } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import { type Broker, type Clause, type Delivery, OLDEST, type SubscribeOptions } from '../broker.ts';
import { type Envelope, envelope, type PubSubError } from '../protocol.ts';
import type { BrokerRig } from './guarantees.ts';

interface ClauseCheck {
  promise: string;
  check: (rig: BrokerRig) => Promise<void>;
}

/** For what must come: claims, rebalances and reconnects included. Also how long a broken promise is waited for. */
const PATIENCE = { withinMs: 10_000 };

export const clauses: Record<Clause, ClauseCheck> = {
  'everybody-hears': {
    promise: 'a message reaches every subscriber of its channel, and of no other',
    async check(rig) {
      const [channel, other] = [await rig.channel(), await rig.channel()];
      const broker = await rig.connect();
      const listeners = [await listen(broker, channel), await listen(await rig.connect(), channel)];
      const elsewhere = await listen(broker, other);
      await say(rig, channel, 1);
      await say(rig, other, 2);
      for (const heard of listeners) expect(numberOf(await heard.next(PATIENCE))).toBe(1);
      expect(numberOf(await elsewhere.next(PATIENCE)), 'on the other channel').toBe(2);
    },
  },

  'in-order': {
    promise: 'what one publisher says on a channel arrives in that order, each once',
    async check(rig) {
      const channel = await rig.channel();
      const heard = await listen(await rig.connect(), channel);
      const numbers = Array.from({ length: 200 }, (_, n) => n);
      await Promise.all(numbers.map((n) => say(rig, channel, n)));
      expect((await heard.take(200, PATIENCE)).map(numberOf)).toEqual(numbers);
    },
  },

  patterns: {
    promise: 'one subscription hears many channels',
    async check(rig) {
      const [first, second] = [await rig.channel(), await rig.channel()];
      // The names of a rig's channels differ in what follows the last dot.
      const glob = `${first.slice(0, first.lastIndexOf('.'))}.*`;
      const heard = await listen(await rig.connect(), glob, { pattern: true });
      await say(rig, first, 1);
      await say(rig, second, 2);
      expect((await heard.take(2, PATIENCE)).map(({ message }) => message.channel).sort()).toEqual(
        [first, second].sort(),
      );
    },
  },

  'failing-handler-apart': {
    promise: 'a handler that throws gets the next message, and the others do not feel it',
    async check(rig) {
      const channel = await rig.channel();
      const problems = new EventQueue<PubSubError>();
      const broker = await rig.connect((problem) => problems.push(problem));
      const seen = new EventQueue<number>();
      await broker.subscribe(channel, (message) => {
        seen.push(message.data as number);
        throw new Error(`cannot read ${message.data as number}`);
      });
      const heard = await listen(broker, channel);
      for (const n of [1, 2]) await say(rig, channel, n);
      expect((await heard.take(2, PATIENCE)).map(numberOf)).toEqual([1, 2]);
      await seen.find('the second message', (n) => n === 2, PATIENCE);
      const problem = await problems.find('a report', ({ code }) => code === 'handler-failed', PATIENCE);
      expect(String(problem.cause)).toMatch(/cannot read/);
    },
  },

  'slow-handler-apart': {
    promise: 'a handler that takes its time holds up nobody else',
    async check(rig) {
      const channel = await rig.channel();
      const broker = await rig.connect();
      const finish = Promise.withResolvers<void>();
      await broker.subscribe(channel, async () => finish.promise);
      const heard = await listen(broker, channel);
      for (const n of [1, 2, 3]) await say(rig, channel, n);
      expect((await heard.take(3, PATIENCE)).map(numberOf)).toEqual([1, 2, 3]);
      finish.resolve();
    },
  },

  'malformed-skipped': {
    promise: 'a message that is no envelope is reported, and the next one is delivered',
    async check(rig) {
      const channel = await rig.channel();
      const problems = new EventQueue<PubSubError>();
      const heard = await listen(await rig.connect((problem) => problems.push(problem)), channel);
      for (const text of ['{', 'null', '{"v":1}']) await rig.publishRaw(channel, text);
      await rig.publishRaw(channel, JSON.stringify({ ...envelope(channel, 0), v: 2 }));
      await say(rig, channel, 1);
      expect(numberOf(await heard.next(PATIENCE)), 'the first that a handler saw').toBe(1);
      const codes = (await problems.take(4, PATIENCE)).map(({ code }) => code);
      expect(codes).toEqual(['malformed-message', 'malformed-message', 'malformed-message', 'unknown-version']);
    },
  },

  'clean-end': {
    promise: 'close lets the handler finish; after it nothing arrives, and no connection is left',
    async check(rig) {
      const channel = await rig.channel();
      const broker = await rig.connect();
      const [begun, finish] = [new EventQueue<number>(), Promise.withResolvers<void>()];
      let finished = 0;
      const subscription = await broker.subscribe(channel, async (message) => {
        begun.push(message.data as number);
        await finish.promise;
        finished++;
      });
      const heard = await listen(broker, channel);
      await say(rig, channel, 1);
      await begun.next(PATIENCE);
      let closed = false;
      const closing = subscription.close().then(() => (closed = true));
      await say(rig, channel, 2);
      await heard.find('the second message, elsewhere', (each) => numberOf(each) === 2, PATIENCE);
      expect(closed, 'while the handler works').toBe(false);
      finish.resolve();
      await within('the end of the subscription', PATIENCE.withinMs, closing);
      expect(finished, 'messages handled at the end of close').toBe(1);
      await say(rig, channel, 3);
      await heard.find('the third message, elsewhere', (each) => numberOf(each) === 3, PATIENCE);
      expect(begun.items, 'what the closed one got').toEqual([1]);
      await within('the end of the broker', PATIENCE.withinMs, broker[Symbol.asyncDispose]());
      await until('no connection', async () => (await rig.connections()) === 0, PATIENCE);
    },
  },

  resubscribes: {
    promise: 'after a cut connection, what is published then arrives',
    async check(rig) {
      const channel = await rig.channel();
      const heard = await listen(await rig.connect(), channel);
      await rig.whileCut(async () => {});
      // Nobody tells a publisher that its subscribers are back: it speaks until one hears.
      await until(
        'a message after the cut',
        async () => {
          await say(rig, channel, 1);
          return heard.items.length > 0;
        },
        PATIENCE,
      );
    },
  },

  'nothing-lost-by-a-cut': {
    promise: 'what was published while the line was down arrives, in order and once',
    async check(rig) {
      const channel = await rig.channel();
      const heard = await listen(await rig.connect(), channel);
      await say(rig, channel, 1);
      await heard.next(PATIENCE);
      await rig.whileCut(async () => {
        for (const n of [2, 3, 4]) await say(rig, channel, n);
      });
      expect((await heard.take(3, PATIENCE)).map(numberOf)).toEqual([2, 3, 4]);
    },
  },

  'nothing-lost-by-absence': {
    promise: 'what is published while no member of a group is there waits for one',
    async check(rig) {
      const channel = await rig.channel();
      const first = await rig.connect();
      const before = await listen(first, channel, { group: 'desk' });
      await say(rig, channel, 1);
      await before.next(PATIENCE);
      await first[Symbol.asyncDispose]();
      for (const n of [2, 3]) await say(rig, channel, n);
      const after = await listen(await rig.connect(), channel, { group: 'desk' });
      expect((await after.take(2, PATIENCE)).map(numberOf)).toEqual([2, 3]);
    },
  },

  replay: {
    promise: 'a new subscriber may begin with the oldest message, or go on after one that it names',
    async check(rig) {
      const channel = await rig.channel();
      for (const n of [1, 2, 3]) await say(rig, channel, n);
      const all = await listen(await rig.connect(), channel, { after: OLDEST });
      const heard = await all.take(3, PATIENCE);
      expect(heard.map(numberOf)).toEqual([1, 2, 3]);
      const after = heard[1]?.delivery.position;
      expect(after, 'a position').toBeDefined();
      const rest = await listen(await rig.connect(), channel, { after: after as string });
      expect(numberOf(await rest.next(PATIENCE))).toBe(3);
    },
  },

  'shared-work': {
    promise: 'the members of a group get each message once between them',
    async check(rig) {
      const channel = await rig.channel();
      const members = [
        await listen(await rig.connect(), channel, { group: 'desk' }),
        await listen(await rig.connect(), channel, { group: 'desk' }),
      ];
      const everything = await listen(await rig.connect(), channel);
      const numbers = Array.from({ length: 100 }, (_, n) => n);
      await Promise.all(numbers.map((n) => say(rig, channel, n)));
      await everything.take(numbers.length, PATIENCE);
      const got = () => members.flatMap(({ items }) => items.map(numberOf));
      await until('all messages', () => got().length >= numbers.length, PATIENCE);
      expect(got().sort((a, b) => a - b)).toEqual(numbers);
    },
  },

  redelivery: {
    promise: 'a message whose handler threw is delivered again, with its attempt counted',
    async check(rig) {
      const channel = await rig.channel();
      const attempts = new EventQueue<number>();
      const handler = (_message: Envelope, { attempt }: Delivery) => {
        attempts.push(attempt);
        if (attempt === 1) throw new Error('not this time');
      };
      await (await rig.connect()).subscribe(channel, handler, { group: 'desk' });
      await say(rig, channel, 1);
      expect(await attempts.take(2, PATIENCE)).toEqual([1, 2]);
    },
  },

  takeover: {
    promise: 'what a consumer had in hand when it was killed with -9, another one gets',
    async check(rig) {
      const channel = await rig.channel();
      await using stuck = rig.startStuckConsumer(channel, 'desk');
      await stuck.line(/^joined/, PATIENCE);
      const { id } = await say(rig, channel, 1);
      await stuck.line((line) => line === `has ${id}`, PATIENCE);
      await stuck.kill('SIGKILL');
      const heard = await listen(await rig.connect(), channel, { group: 'desk' });
      expect((await heard.next({ withinMs: 30_000 })).message.id).toBe(id);
    },
  },

  'poison-set-aside': {
    promise: 'a message that fails every time is moved away with its reason, and holds up no other',
    async check(rig) {
      const channel = await rig.channel();
      const problems = new EventQueue<PubSubError>();
      const handled = new EventQueue<number>();
      const broker = await rig.connect((problem) => problems.push(problem));
      const handler = (message: Envelope) => {
        if (message.data === 1) throw new Error('poison');
        handled.push(message.data as number);
      };
      await broker.subscribe(channel, handler, { group: 'desk' });
      const { id } = await say(rig, channel, 1);
      await say(rig, channel, 2);
      expect(await handled.next(PATIENCE)).toBe(2);
      await problems.find('a report', ({ code }) => code === 'set-aside', PATIENCE);
      const aside = await rig.setAside(channel);
      expect(aside.map((each) => each.id)).toEqual([id]);
      expect(aside[0]?.reason).toMatch(/poison/);
    },
  },
};

interface Heard {
  message: Envelope;
  delivery: Delivery;
}

const numberOf = ({ message }: Heard): number => message.data as number;

async function say({ publisher }: BrokerRig, channel: string, n: number): Promise<Envelope> {
  const message = envelope(channel, n);
  await publisher.publish(message);
  return message;
}

async function listen(broker: Broker, channel: string, options?: SubscribeOptions): Promise<EventQueue<Heard>> {
  const heard = new EventQueue<Heard>();
  await broker.subscribe(channel, (message, delivery) => heard.push({ message, delivery }), options);
  return heard;
}
