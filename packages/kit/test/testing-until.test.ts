/** Waits that end when they should, and say what they waited for when they don't. */
import { EventEmitter, on } from 'node:events';
import { describe, expect, test } from 'vitest';
import { EventQueue } from '../testing/event-queue.ts';
import { until, within } from '../testing/until.ts';

describe('until', () => {
  test('resolves with the first truthy value', async () => {
    let calls = 0;
    expect(await until('three calls', () => ++calls >= 3 && `after ${calls}`)).toBe('after 3');
    expect(await until('a promise', async () => ({ ready: true }))).toEqual({ ready: true });
  });

  test('an exception means not yet', async () => {
    let calls = 0;
    const flaky = () => {
      if (++calls < 3) throw new Error('not there');
      return calls;
    };
    expect(await until('no exception', flaky)).toBe(3);
  });

  test('after the deadline it names what it waited for, and the last it saw', async () => {
    await expect(until('the moon', () => 0, { withinMs: 20 })).rejects.toThrow(
      'Not within 20 ms: the moon (last value: 0)',
    );
    const fail = () => Promise.reject(new TypeError('no moon'));
    await expect(until('the moon', fail, { withinMs: 20 })).rejects.toThrow(
      'Not within 20 ms: the moon (last error: TypeError: no moon)',
    );
  });

  test('a condition that never settles does not outlive the deadline', async () => {
    await expect(until('an answer', () => new Promise<boolean>(() => {}), { withinMs: 20 })).rejects.toThrow(
      'an answer',
    );
  });

  test('an aborted signal ends it', async () => {
    const reason = new Error('the test is over');
    const aborter = new AbortController();
    const waiting = until('never', () => false, { signal: aborter.signal });
    aborter.abort(reason);
    await expect(waiting).rejects.toThrow(/the test is over|aborted/);
  });
});

test('within settles as its promise does, or names what is late', async () => {
  expect(await within('an answer', 1_000, Promise.resolve(42))).toBe(42);
  await expect(within('an answer', 1_000, Promise.reject(new Error('no')))).rejects.toThrow('no');
  await expect(within('an answer', 20, new Promise(() => {}))).rejects.toThrow('Not within 20 ms: an answer');
});

describe('EventQueue', () => {
  test('what came before the wait and what comes after it are the same to it', async () => {
    const queue = new EventQueue<string>();
    queue.push('early');
    expect(await queue.next()).toBe('early');
    const late = queue.take(2);
    queue.push('b');
    queue.push('c');
    expect(await late).toEqual(['b', 'c']);
    expect(queue.items).toEqual(['early', 'b', 'c']);
  });

  test('items of one tick go to one waiter each', async () => {
    const queue = new EventQueue<number>();
    const waiting = [queue.next(), queue.next()];
    for (const item of [1, 2, 3]) queue.push(item);
    expect(await Promise.all([...waiting, queue.next()])).toEqual([1, 2, 3]);
  });

  test('find takes what it looks for and leaves the rest', async () => {
    const queue = new EventQueue<number>();
    queue.push(1);
    queue.push(2);
    const big = queue.find('big number', (n) => n > 10);
    queue.push(3);
    queue.push(11);
    expect(await big).toBe(11);
    expect(await queue.find('two', (n) => n === 2)).toBe(2);
    expect(await queue.take(2)).toEqual([1, 3]);
  });

  test('a late item is named, with what came instead', async () => {
    const queue = new EventQueue<string>();
    queue.push('noise');
    await expect(queue.find('a signal', (item) => item === 'signal', { withinMs: 20 })).rejects.toThrow(
      "Not within 20 ms: a signal (1 received; left [ 'noise' ])",
    );
    await expect(queue.take(2, { withinMs: 20 })).rejects.toThrow('item 2 of 2');
  });

  test('an error of the iterable surfaces in next, after the items before it', async () => {
    async function* failing() {
      yield 1;
      throw new Error('line lost');
    }
    await using queue = EventQueue.from(failing());
    expect(await queue.next()).toBe(1);
    await expect(queue.next()).rejects.toThrow('line lost');
  });

  test('the end of the iterable is an error to who waits for more', async () => {
    async function* short() {
      yield 'only';
    }
    await using queue = EventQueue.from(short());
    await expect(queue.take(2)).rejects.toThrow('The stream ended');
  });

  test('disposing aborts the subscription and waits until it has cleaned up', async () => {
    const emitter = new EventEmitter();
    let open = false;
    async function* subscribe(signal: AbortSignal) {
      open = true;
      try {
        for await (const [event] of on(emitter, 'event', { signal })) yield event as string;
      } finally {
        open = false;
      }
    }
    {
      await using queue = EventQueue.from(subscribe);
      emitter.emit('event', 'hello');
      expect(await queue.next()).toBe('hello');
      expect(open).toBe(true);
    }
    expect(open).toBe(false);
    expect(emitter.listenerCount('event')).toBe(0);
  });

  test('disposing ends a plain iterable too', async () => {
    const emitter = new EventEmitter();
    const queue = EventQueue.from(on(emitter, 'event'));
    emitter.emit('event', 'hello');
    expect(await queue.next()).toEqual(['hello']);
    await queue[Symbol.asyncDispose]();
    expect(emitter.listenerCount('event')).toBe(0);
    await expect(queue.next()).rejects.toThrow('closed');
  });
});
