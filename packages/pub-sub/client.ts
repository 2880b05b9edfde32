/**
 * A desk that reads the news: hears it live on the channel, and fills every gap from the log, as an async iterable.
 *
 * The channel is fast and forgets; the log keeps, and has to be asked. So the desk listens to the channel, and reads the log only when
 * a number tells it to: at the beginning, when a number is too high, and when a look at the log's head shows that the last message was
 * the one that got lost. It ends when `signal` aborts, and with an error when the log no longer has what it missed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { FeedEvent } from '@patterns/feed/feed';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { Redis } from 'ioredis';
import { OLDEST } from './broker.ts';
import { arrivalOf, type Clue, type Gap, Tally } from './gap.ts';
import { Live } from './live.ts';
import { beforeOldest, headOf, logKey, PAGE_SIZE, readPage, seqOf } from './log.ts';
import { type News, readNews } from './news.ts';
import { CHANNEL, DEFAULT_PREFIX, decode, type Envelope, PubSubError } from './protocol.ts';
import { connectRedis, hangUp, quit } from './redis-connection.ts';

export interface DeskOptions {
  /** The position of the last story seen, or OLDEST. Without it: what comes from now on. */
  after?: string | undefined;
  signal?: AbortSignal | undefined;
  prefix?: string;
  /** How often it looks at the log's head: the longest that the loss of a last message stays unnoticed. */
  lookEveryMs?: number;
  /** Live stories that may wait for the reader: some seconds of a busy day. Beyond, it reads them from the log in its own time. */
  maxPending?: number;
  onGap?: (gap: Gap) => void;
  onProblem?: (problem: PubSubError) => void;
  tally?: Tally;
}

/** Redis may refuse at once, every time: the pause keeps that from spinning. */
const RETRY_MS = 100;

/**
 * Yields every story after the position, in order, each once.
 * @throws {PubSubError} `cursor-malformed`; `cursor-expired`: what it missed is no longer kept.
 */
export async function* subscribe(url: string, options: DeskOptions = {}): AsyncGenerator<FeedEvent<News>> {
  const { after, signal, prefix = '', lookEveryMs = 10_000, maxPending = 1_000, tally = new Tally() } = options;
  const { onGap = () => {}, onProblem = () => {} } = options;
  const key = logKey(prefix, CHANNEL);
  if (after !== undefined && after !== OLDEST) seqOf(after); // malformed is malformed, with Redis or without
  await using stack = new AsyncDisposableStack();
  const live = stack.use(new Live({ url, prefix, channel: CHANNEL, lookEveryMs, maxPending, signal, onProblem }));
  const redis = stack.adopt(connectRedis(url, { name: 'desk', onProblem }), quit);
  // Whoever leaves does not wait for answers that may never come.
  const leave = () => {
    hangUp(redis);
    void live[Symbol.asyncDispose]();
  };
  signal?.addEventListener('abort', leave);
  stack.defer(() => signal?.removeEventListener('abort', leave));
  const missed = (from: number, to: number, foundBy: Clue) => {
    tally.gaps++;
    tally.missed += Math.max(0, to - from + 1);
    onGap({ from, to, foundBy });
  };

  // #region desk
  let last: number | undefined;
  let behind = true;
  while (!signal?.aborted) {
    try {
      if (last === undefined) {
        // First listen, then look what there was: what is published in between comes both ways, and its number tells.
        await live.open();
        last = await startAt(redis, key, after, live);
      } else if (behind) {
        const entries = await readPage(redis, key, last);
        behind = entries.length === PAGE_SIZE;
        for (const { seq, text } of entries) {
          last = seq;
          tally.fromLog++;
          yield* story(() => decode(text, seq), onProblem);
        }
      } else if (live.heard.length > 0) {
        const message = live.heard.shift()!;
        const arrival = arrivalOf(message.seq, last);
        if (arrival === 'seen') tally.repeated++;
        if (arrival === 'gap') {
          missed(last + 1, message.seq - 1, 'number');
          behind = true; // the log has this one as well
        }
        if (arrival === 'next') {
          last = message.seq;
          tally.live++;
          yield* story(() => message, onProblem);
        }
      } else if (live.suspicion) {
        const head = await headOf(redis, key);
        await live.flush(); // up to that head, the channel has brought by now what it ever will
        if (live.heard.length > 0) continue;
        if (head !== last) missed(last + 1, head, live.suspicion);
        behind = head !== last;
        live.suspicion = undefined;
      } else await live.wait();
    } catch (error) {
      if (!(error instanceof PubSubError) || error.code !== 'unavailable') throw error;
      if (signal?.aborted) return;
      onProblem(error);
      await pause(RETRY_MS, undefined, { signal }).catch(() => {});
    }
  }
  // #endregion
}

/** One story, or a complaint and none: a message that is no story is passed over, and its number counts all the same. */
function* story(read: () => Envelope, onProblem: (problem: PubSubError) => void): Generator<FeedEvent<News>> {
  let news: FeedEvent<News>;
  try {
    news = readNews(read());
  } catch (error) {
    onProblem(error as PubSubError);
    return;
  }
  yield news;
}

async function startAt(redis: Redis, key: string, after: string | undefined, live: Live): Promise<number> {
  if (after === OLDEST) return await beforeOldest(redis, key);
  if (after !== undefined) return seqOf(after);
  const head = await headOf(redis, key);
  await live.flush();
  return Math.min(head, (live.heard[0]?.seq ?? Number.POSITIVE_INFINITY) - 1); // heard already: that is "from now on" too
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, after] = process.argv.slice(2);
    if (!url)
      return console.log(
        'usage: node client.ts <redis url of a newsroom> [position]   (start one with: node server.ts)',
      );
    const prefix = process.env.REDIS_PREFIX ?? DEFAULT_PREFIX;
    const lookEveryMs = envInteger('LOOK_EVERY_MS', 10_000, { min: 1 });
    const tally = new Tally();
    const onGap = ({ from, to, foundBy }: Gap) => console.log(`gap: #${from} to #${to} missed, found by ${foundBy}`);
    const onProblem = (problem: PubSubError) => console.log(`${problem.code}: ${problem.message}`);
    for await (const { id, at, data } of subscribe(url, {
      after,
      signal,
      prefix,
      lookEveryMs,
      tally,
      onGap,
      onProblem,
    })) {
      console.log(`#${seqOf(id)} ${data.title}  ${Date.now() - at} ms`);
    }
    console.log(JSON.stringify(tally));
  });
}
