/**
 * The newsroom: publishes a story so that those who listen hear it at once, and those who do not can read it afterwards.
 *
 * PUBLISH alone reaches whoever is connected. XADD alone reaches everybody, but each reader needs a blocked connection. Here one script
 * does both, in one step: append to the log, which gives the number, and publish with the number. No reader can see one without the
 * other, and two newsrooms never give the same number twice.
 */
import type { Redis } from 'ioredis';
import { logKey, seqOf } from './log.ts';
import type { News } from './news.ts';
import { CHANNEL, encode, envelope, type PubSubError } from './protocol.ts';
import { connectRedis, quit, unavailable } from './redis-connection.ts';

// #region publish
/** The text of the log has no number, since its position is one; on the channel there is no position. */
const PUBLISH_NUMBERED = `
  local id = redis.call('XADD', KEYS[1], 'MAXLEN', '=', ARGV[1], '0-*', 'message', ARGV[2])
  local receivers = redis.call('PUBLISH', ARGV[3], '{"seq":' .. id:sub(3) .. ',' .. ARGV[2]:sub(2))
  return {id, receivers}
`;
// #endregion

export interface Published {
  /** Where it stands in the log: a cursor. */
  readonly id: string;
  readonly seq: number;
  /** Subscribers of the channel at that moment, in all of this Redis node. 0 is no error: they can read it later. */
  readonly receivers: number;
}

export interface NewsroomOptions {
  url: string;
  prefix?: string;
  /** Stories kept: how long a reader may be away. */
  retain?: number;
  onProblem?: (problem: PubSubError) => void;
}

export class Newsroom implements AsyncDisposable {
  /** For gauges (metrics.ts). */
  readonly redis: Redis;
  readonly channel: string;
  readonly key: string;
  readonly #retain: number;

  constructor({ url, prefix = '', retain = 10_000, onProblem = () => {} }: NewsroomOptions) {
    this.redis = connectRedis(url, { name: 'newsroom', pipelined: true, onProblem });
    this.channel = `${prefix}${CHANNEL}`;
    this.key = logKey(prefix, CHANNEL);
    this.#retain = retain;
  }

  /** @throws {PubSubError} `unavailable`: it may have been published or not, and is not sent again: that could publish it twice. */
  async publish(news: News, traceparent?: string): Promise<Published> {
    const text = encode(envelope(CHANNEL, news, traceparent));
    try {
      const published = this.redis.eval(PUBLISH_NUMBERED, 1, this.key, this.#retain, text, this.channel);
      const [id, receivers] = (await published) as [string, number];
      return { id, seq: seqOf(id), receivers };
    } catch (error) {
      throw unavailable(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await quit(this.redis);
  }
}
