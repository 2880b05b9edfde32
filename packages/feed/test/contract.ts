/**
 * What every feed promises, over any implementation of it: `open` gives an empty feed that keeps so many events. Faults that
 * only one implementation knows (a lost line, a corrupt entry) are in its own test file.
 */
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until, within } from '@patterns/kit/testing/until';
import { describe, expect, test } from 'vitest';
import { compareIds, isCursor } from '../cursor.ts';
import { type Feed, type FeedEvent, NOTHING_SEEN, NOW, OLDEST } from '../feed.ts';

export function feedContract(open: (options?: { retain?: number; rememberMs?: number }) => Feed<number>): void {
  describe('append and read', () => {
    test('gives each event a cursor of its own, in order, and the time of the feed', async () => {
      await using feed = open();
      const before = Date.now();
      const events = await appendAll(feed, 100);
      for (const [index, event] of events.entries()) {
        expect(isCursor(event.id)).toBe(true);
        if (index > 0) expect(compareIds(events[index - 1]?.id ?? '', event.id)).toBeLessThan(0);
        expect(Math.abs(event.at - before)).toBeLessThan(60_000);
      }
      expect(await feed.read()).toEqual(events);
    });

    test('reads after a cursor, at most `limit`, of one topic', async () => {
      await using feed = open();
      const events = [];
      for (let n = 0; n < 10; n++) events.push(await feed.append(n % 2 ? 'odd' : 'even', n));
      const after = events[3]?.id ?? '';
      expect(await feed.read({ after })).toEqual(events.slice(4));
      expect(await feed.read({ after, limit: 2 })).toEqual(events.slice(4, 6));
      expect(await feed.read({ after, topic: 'odd', limit: 2 })).toEqual([events[5], events[7]]);
      expect(await feed.read({ after: events[9]?.id })).toEqual([]);
      expect(await feed.read({ after: NOW })).toEqual([]);
      expect(await feed.read({ limit: 0 })).toEqual([]);
    });

    test('appends an event with a name once, whoever appends it and however often', async () => {
      await using feed = open();
      const [first, ...again] = await Promise.all([1, 2, 3].map(() => feed.append('t', 1, { once: 'mine' })));
      expect(again.map(({ id }) => id)).toEqual([first?.id, first?.id]);
      const other = await feed.append('t', 1, { once: 'yours' });
      const nameless = await feed.append('t', 1);
      expect(await feed.read()).toEqual([first, other, nameless]);
    });

    test('remembers the name of an event for a while, even when the event is gone', async () => {
      await using feed = open({ retain: 1 });
      const first = await feed.append('t', 1, { once: 'mine' });
      const second = await feed.append('t', 2);
      expect((await feed.append('t', 1, { once: 'mine' })).id).toBe(first.id);
      expect(await feed.read()).toEqual([second]);
    });

    test('forgets the name of an event when its time is over', async () => {
      await using feed = open({ rememberMs: 20 });
      const { id } = await feed.append('t', 1, { once: 'mine' });
      await until('another event under the same name', async () => {
        return (await feed.append('t', 1, { once: 'mine' })).id !== id;
      });
    });

    test('an empty feed has a position from which nothing is missed', async () => {
      await using feed = open();
      const position = await feed.position();
      expect(position).toBe(NOTHING_SEEN);
      const event = await feed.append('t', 1);
      expect(await feed.read({ after: position })).toEqual([event]);
      expect(await feed.position()).toBe(event.id);
    });

    test('refuses data that JSON has no form for, and carries on', async () => {
      await using feed = open() as Feed<unknown>;
      await expect(feed.append('t', undefined)).rejects.toThrow(TypeError);
      await expect(feed.append('t', 1n)).rejects.toThrow(TypeError);
      const event = await feed.append('t', { when: new Date(0), text: 'é\n\0' });
      expect(event.data).toEqual({ when: '1970-01-01T00:00:00.000Z', text: 'é\n\0' });
      expect(await feed.read()).toEqual([event]);
    });
  });

  describe('cursors', () => {
    test.each(['', 'x', '1', '-1-0', '01-0', '1-00', '1-0 ', '18446744073709551616-0', '1-0-0'])(
      'malformed: %j',
      async (after) => {
        await using feed = open();
        const signal = new AbortController().signal;
        await expect(feed.read({ after })).rejects.toMatchObject({ code: 'cursor-malformed' });
        await expect(feed.follow({ after, signal }, () => {})).rejects.toMatchObject({ code: 'cursor-malformed' });
        expect(feed.followers).toBe(0);
      },
    );

    test('the retained ones are valid; one older has expired, and the error names the oldest', async () => {
      await using feed = open({ retain: 5 });
      const signal = new AbortController().signal;
      const events = await appendAll(feed, 8);
      const oldest = events[3]?.id ?? '';
      expect(await feed.read()).toEqual(events.slice(3));
      expect(await feed.read({ after: oldest })).toEqual(events.slice(4));
      for (const after of [NOTHING_SEEN, events[2]?.id]) {
        await expect(feed.read({ after })).rejects.toMatchObject({ code: 'cursor-expired', oldest });
        const following = feed.follow({ after, signal }, () => expect.unreachable());
        await expect(following).rejects.toMatchObject({ code: 'cursor-expired', oldest });
      }
    });

    test('one of a feed that this one replaced has expired, whether it is beyond the end or before the beginning', async () => {
      await using feed = open();
      const signal = new AbortController().signal;
      const { id } = await feed.append('t', 1);
      for (const after of ['9999999999999-0', '1-0']) {
        await expect(feed.read({ after })).rejects.toMatchObject({ code: 'cursor-expired', oldest: id });
        const following = feed.follow({ after, signal }, () => expect.unreachable());
        await expect(within('an answer', 5_000, following)).rejects.toMatchObject({
          code: 'cursor-expired',
          oldest: id,
        });
      }
    });
  });

  describe('follow', () => {
    test('backlog first, then live: no gap and no duplicate, while events are being appended all the time', async () => {
      await using feed = open();
      const total = 1_000;
      const appending = appendAll(feed, total);
      const stop = new AbortController();
      await feed.position();
      const followed = Array.from({ length: 20 }, (_, index) =>
        follow(feed, index % 2 ? OLDEST : NOTHING_SEEN, stop.signal),
      );
      const events = await appending;
      for (const { queue, ended } of followed) {
        expect(await queue.take(total)).toEqual(events);
        stop.abort();
        await ended;
        expect(queue.items.length).toBe(total);
      }
    });

    test('NOW is the moment of the call: what was appended before it is not heard, what comes after it is', async () => {
      await using feed = open();
      const stop = new AbortController();
      await appendAll(feed, 3);
      for (let round = 0; round < 20; round++) {
        await feed.append('t', -1);
        const { queue } = follow(feed, undefined, stop.signal);
        const event = await feed.append('t', round);
        expect(await queue.next()).toEqual(event);
      }
      stop.abort();
    });

    test('hands the same event object to all', async () => {
      await using feed = open();
      const stop = new AbortController();
      const [a, b] = [follow(feed, NOW, stop.signal), follow(feed, NOW, stop.signal, 't')];
      await feed.append('t', 1);
      expect(await a.queue.next()).toBe(await b.queue.next());
      // One who resumes a little later is served from memory: the same object again.
      const late = follow(feed, OLDEST, stop.signal);
      expect(await late.queue.next()).toEqual(a.queue.items[0]);
      stop.abort();
    });

    test('one topic only', async () => {
      await using feed = open();
      const stop = new AbortController();
      await feed.append('a', 1);
      await feed.append('b', 2);
      const { queue } = follow(feed, OLDEST, stop.signal, 'b');
      await feed.append('a', 3);
      await feed.append('b', 4);
      expect((await queue.take(2)).map(({ data }) => data)).toEqual([2, 4]);
      stop.abort();
    });

    test('a listener that appends is heard by all in the same order', async () => {
      await using feed = open();
      const stop = new AbortController();
      const first = feed.follow({ signal: stop.signal }, ({ data }) => void (data < 5 && feed.append('t', data + 1)));
      const { queue } = follow(feed, NOW, stop.signal);
      await feed.append('t', 1);
      expect((await queue.take(5)).map(({ data }) => data)).toEqual([1, 2, 3, 4, 5]);
      stop.abort();
      await first;
    });

    test('a listener that begins to follow gets its event once', async () => {
      await using feed = open();
      const stop = new AbortController();
      const inner = Promise.withResolvers<ReturnType<typeof follow>>();
      await feed.append('t', 0);
      const outer = feed.follow({ signal: stop.signal }, ({ data }) => {
        if (data === 1) inner.resolve(follow(feed, OLDEST, stop.signal));
      });
      await feed.append('t', 1);
      const { queue } = await inner.promise;
      await feed.append('t', 2);
      expect((await queue.take(3)).map(({ data }) => data)).toEqual([0, 1, 2]);
      stop.abort();
      await outer;
    });

    test('a listener that throws, or rejects, ends its own following and no other', async () => {
      await using feed = open();
      const { signal } = new AbortController();
      const { queue } = follow(feed, NOW, signal);
      const fault = new Error('mine');
      const throwing = feed.follow({ signal }, () => {
        throw fault;
      });
      const rejecting = feed.follow({ signal }, () => Promise.reject(fault));
      const settled = Promise.allSettled([throwing, rejecting]);
      await appendAll(feed, 2);
      expect(await settled).toEqual([1, 2].map(() => ({ status: 'rejected', reason: fault })));
      expect(await queue.take(2)).toHaveLength(2);
      expect(feed.followers).toBe(1);
    });

    test('a slow listener is waited for, in order; with more than maxPending waiting it ends, and no other is slowed', async () => {
      await using feed = open();
      const { signal } = new AbortController();
      const fast = follow(feed, NOW, signal);
      const release = Promise.withResolvers<void>();
      const [seen, seenByPatient] = [[] as number[], [] as number[]];
      const slowly = (into: number[]) => (event: FeedEvent<number>) => {
        into.push(event.data);
        return release.promise;
      };
      const patient = new AbortController();
      const stuck = feed.follow({ signal, maxPending: 3 }, slowly(seen)).catch((error: unknown) => error);
      const waited = feed.follow({ signal: patient.signal, maxPending: 4 }, slowly(seenByPatient));
      await appendAll(feed, 5);
      expect(await fast.queue.take(5)).toHaveLength(5);
      expect(await stuck).toMatchObject({ code: 'follower-too-slow' });
      release.resolve();
      await until('the patient one to be done', () => seenByPatient.length === 5);
      expect(seenByPatient).toEqual([0, 1, 2, 3, 4]);
      expect(seen).toEqual([0]);
      patient.abort();
      await waited;
    });

    test('10,000 followers hear one event; aborted, none is left', async () => {
      await using _leaks = noLeaks();
      await using feed = open();
      const stop = new AbortController();
      let heard = 0;
      const all = Promise.withResolvers<void>();
      const following = Array.from({ length: 10_000 }, () =>
        feed.follow({ signal: stop.signal }, () => {
          heard += 1;
          if (heard === 10_000) all.resolve();
        }),
      );
      expect(feed.followers).toBe(10_000);
      await feed.append('t', 1);
      await all.promise;
      stop.abort();
      await Promise.all(following);
      expect(feed.followers).toBe(0);
      expect(heard).toBe(10_000);
    });
  });

  describe('the end', () => {
    test('an aborted signal ends it at once, before or during', async () => {
      await using feed = open();
      await feed.append('t', 1);
      await feed.follow({ after: OLDEST, signal: AbortSignal.abort() }, () => expect.unreachable());
      const stop = new AbortController();
      const heard: number[] = [];
      await feed.follow({ after: OLDEST, signal: stop.signal }, ({ data }) => {
        heard.push(data);
        stop.abort();
      });
      expect(heard).toEqual([1]);
      expect(feed.followers).toBe(0);
    });

    test('disposing ends every follower with an error, and refuses what comes after', async () => {
      await using _leaks = noLeaks();
      const feed = open();
      await feed.append('t', 1);
      const { signal } = new AbortController();
      const { queue, ended } = follow(feed, OLDEST, signal);
      await queue.next();
      const failed = expect(ended).rejects.toMatchObject({ code: 'closed' });
      await feed[Symbol.asyncDispose]();
      await failed;
      await expect(feed.append('t', 2)).rejects.toMatchObject({ code: 'closed' });
      await expect(feed.read()).rejects.toMatchObject({ code: 'closed' });
      await expect(feed.follow({ signal }, () => {})).rejects.toMatchObject({ code: 'closed' });
      expect(feed.followers).toBe(0);
    });
  });
}

/** Appends the numbers from 0 up, each when the one before is in. */
export async function appendAll(feed: Feed<number>, count: number): Promise<FeedEvent<number>[]> {
  const events = [];
  for (let n = 0; n < count; n++) events.push(await feed.append('t', n));
  return events;
}

/** Follows into a queue; when it ends with an error, so does the queue. */
export function follow(feed: Feed<number>, after: string | undefined, signal: AbortSignal, topic?: string) {
  const queue = new EventQueue<FeedEvent<number>>();
  const ended = feed.follow({ after, signal, topic }, (event) => queue.push(event));
  ended.catch((error: Error) => queue.close(error));
  return { queue, ended };
}
