/**
 * What each clause of the delivery contract promises, and how that is checked. Every subscriber begins at a known cursor
 * and not "now", so no check depends on who was first: the append or the subscription.
 */
import { expect } from 'vitest';
import type { Clause, DeliveredEvent, DeliveryHarness, DeliveryRig } from './delivery-contract.ts';
import { EventQueue } from './event-queue.ts';
import { until, within } from './until.ts';

interface ClauseCheck {
  promise: string;
  check: (rig: DeliveryRig, harness: DeliveryHarness) => Promise<void>;
}

/** Big enough that a few hundred fill the buffers of kernel, proxy and server, which take some megabytes. */
const BIG_EVENT_BYTES = 16 * 1024;
/** No server may keep that much for one reader. */
const UNBOUNDED_BYTES = 64 * 1024 * 1024;
/** The server's drain (5 s) and what a process needs to exit; `docker stop` kills after 10 s. */
const SHUTDOWN_MS = 7_500;

export const clauses: Record<Clause, ClauseCheck> = {
  order: {
    promise: 'everything once and in order, with no gap between backlog and live',
    async check(rig) {
      const start = await rig.append();
      await using early = follow(rig, start);
      const firstHalf = await append(rig, 100);
      await until('the first event', () => early.items.length > 0);
      const secondHalf = append(rig, 100);
      await using late = follow(rig, start);
      const sent = [...firstHalf, ...(await secondHalf)];
      await receivesExactly(rig, [early, late], sent);
    },
  },

  'resume-after-cut': {
    promise: 'after a cut connection nothing is lost and nothing comes twice',
    async check(rig) {
      const start = await rig.append();
      await using events = follow(rig, start);
      const sent: DeliveredEvent[] = [];
      for (let cut = 1; cut <= 3; cut++) {
        sent.push(...(await append(rig, 10)));
        await until(`an event of round ${cut}`, () => events.items.length > sent.length - 10);
        rig.proxy.refuse();
        rig.proxy.cut();
        await until('no connection left', () => rig.proxy.connections === 0);
        sent.push(...(await append(rig, 10)));
        rig.proxy.accept();
        await until('all that was missed', () => events.items.length >= sent.length);
      }
      await receivesExactly(rig, [events], sent);
    },
  },

  'resume-after-restart': {
    promise: 'after kill -9 and a restart of the server nothing is lost and nothing comes twice',
    async check(rig) {
      const start = await rig.append();
      await using events = follow(rig, start);
      const sent = await append(rig, 10);
      await until('the first event', () => events.items.length > 0);
      const restarted = rig.restartServer();
      sent.push(...(await append(rig, 10)));
      await restarted;
      sent.push(...(await append(rig, 10)));
      await receivesExactly(rig, [events], sent);
    },
  },

  'abort-frees-both-sides': {
    promise: 'an aborted subscription ends at once, and the server forgets it',
    async check(rig) {
      const start = await rig.append();
      const subscribers = Array.from({ length: 5 }, () => follow(rig, start));
      await allOpen(rig, subscribers.length);
      await within('end of all subscriptions', 2_000, disposeAll(subscribers));
      await until('no open stream', async () => (await rig.openStreams()) === 0);
    },
  },

  'slow-reader-bounded': {
    promise: 'a reader that does not keep up is cut off at a bound, and resumes where it was',
    async check(rig) {
      const start = await rig.append();
      await using events = follow(rig, start);
      await allOpen(rig, 1);
      rig.proxy.stall('down');
      const sent: DeliveredEvent[] = [];
      do {
        expect(sent.length * BIG_EVENT_BYTES, 'bytes kept for one reader').toBeLessThan(UNBOUNDED_BYTES);
        sent.push(...(await append(rig, 50, BIG_EVENT_BYTES)));
      } while ((await rig.openStreams()) > 0);
      rig.proxy.flow();
      await receivesExactly(rig, [events], sent);
    },
  },

  'malformed-cursor': {
    promise: 'a cursor that is none is refused, clearly',
    async check(rig, { malformed }) {
      for (const cursor of ['nonsense', '-1-0', '1-2-3', '9'.repeat(100)]) {
        const answer = await rig.ask(cursor);
        expect(answer, cursor).toMatch(malformed);
        expect(answer, 'a stack trace').not.toMatch(/node:internal|node_modules|\.ts:\d/);
      }
    },
  },

  'expired-cursor': {
    promise: 'a cursor older than what is retained is told so, never silence',
    async check(rig, { expired }) {
      expect(await rig.ask(await rig.expire())).toMatch(expired);
    },
  },

  'thousand-subscribers': {
    promise: '1,000 subscribers of one server each get everything in order',
    async check(rig) {
      const start = await rig.append();
      const subscribers = Array.from({ length: 1_000 }, () => follow(rig, start, rig.url));
      try {
        await allOpen(rig, subscribers.length);
        await receivesExactly(rig, subscribers, await append(rig, 10));
      } finally {
        await disposeAll(subscribers);
      }
      await until('no open stream', async () => (await rig.openStreams()) === 0);
    },
  },

  'shutdown-deadline': {
    promise: 'SIGTERM ends every open request within a deadline, even those that nobody reads',
    async check(rig) {
      const start = await rig.append();
      await using _readers = follow(rig, start, rig.url);
      await using _deaf = follow(rig, start);
      await allOpen(rig, 2);
      rig.proxy.stall();
      expect(await within('exit of the server', SHUTDOWN_MS, rig.stopServer()), 'exit code').toBe(0);
    },
  },
};

function follow(rig: DeliveryRig, { id }: DeliveredEvent, url = rig.proxy.url): EventQueue<DeliveredEvent> {
  return EventQueue.from((signal) => rig.subscribe(url, { after: id, signal }));
}

async function append(rig: DeliveryRig, count: number, bytes?: number): Promise<DeliveredEvent[]> {
  return await Promise.all(Array.from({ length: count }, () => rig.append(bytes)));
}

/** A thousand connections take a busy machine seconds. */
async function allOpen(rig: DeliveryRig, subscribers: number): Promise<void> {
  const expected = subscribers * (rig.streamsPerSubscriber ?? 1);
  await until(`${expected} open streams`, async () => (await rig.openStreams()) === expected, { withinMs: 25_000 });
}

/** One more event is appended behind the others: a repeated one would be seen before it. */
async function receivesExactly(
  rig: DeliveryRig,
  subscribers: readonly EventQueue<DeliveredEvent>[],
  sent: readonly DeliveredEvent[],
): Promise<void> {
  const expected = [...sent, await rig.append()].map(({ id }) => id);
  const deadline = { withinMs: 15_000 };
  const received = await Promise.all(subscribers.map((events) => events.take(expected.length, deadline)));
  for (const events of received) expect(events.map(({ id }) => id)).toEqual(expected);
}

async function disposeAll(subscribers: readonly EventQueue<DeliveredEvent>[]): Promise<void> {
  await Promise.all(subscribers.map((events) => events[Symbol.asyncDispose]()));
}
