/**
 * Publish/subscribe over Redis Streams: a message is written to a log, and every subscriber reads it at a pace of its own.
 *
 * Unlike PUBLISH, nothing depends on who is there: a subscriber is a position in the log, and a group (consumer-group.ts) one that
 * Redis keeps, together with what each member has in hand. The price is memory: what is kept is bounded by number, and whoever is
 * further behind than that is told `cursor-expired`.
 */
import type { Redis } from 'ioredis';
import { Appender } from './appender.ts';
import {
  type Broker,
  type BrokerOptions,
  type Guarantees,
  type Handler,
  OLDEST,
  type Receipt,
  type SubscribeOptions,
  type Subscription,
} from './broker.ts';
import { joinGroup } from './consumer-group.ts';
import { beforeOldest, followLog, headOf, type LogEntry, logKey, positionOf, seqOf } from './log.ts';
import { decode, type Envelope, encode, PubSubError } from './protocol.ts';
import { connectRedis, hangUp, quit } from './redis-connection.ts';
import { Subscriptions } from './subscription.ts';

// #region guarantees
export const redisStreamsGuarantees: Guarantees = {
  'everybody-hears': true,
  'in-order': true,
  patterns: 'a Stream is read by its name: there is no glob over keys',
  'failing-handler-apart': true,
  'slow-handler-apart': true,
  'malformed-skipped': true,
  'clean-end': true,
  resubscribes: true,
  'nothing-lost-by-a-cut': true,
  'nothing-lost-by-absence': true,
  replay: true,
  'shared-work': true,
  redelivery: true,
  takeover: true,
  'poison-set-aside': true,
};
// #endregion

export interface RedisStreamsOptions extends BrokerOptions {
  url: string;
  /** Messages kept per channel: what they take of Redis' memory, and how long a subscriber may be away. */
  retain?: number;
  /** How long one read waits for news before it looks whether the log is still the same one. */
  blockMs?: number;
  /** Messages that a group's member takes at a time: round trips against how many wait for a slow handler. */
  batch?: number;
  /** What a member has had in hand for so long without a sign of life is given to another one: a minute of doubt is cheap. */
  claimAfterMs?: number;
  /** Deliveries after which a message counts as poison. */
  maxAttempts?: number;
}

export class RedisStreams implements Broker {
  readonly guarantees = redisStreamsGuarantees;
  readonly #options: Required<RedisStreamsOptions>;
  readonly #commands: Redis;
  readonly #appender: Appender;
  readonly #subscriptions = new Subscriptions();

  constructor({
    url,
    prefix = '',
    retain = 10_000,
    blockMs = 5_000,
    batch = 100,
    claimAfterMs = 60_000,
    maxAttempts = 5,
    onProblem = () => {},
  }: RedisStreamsOptions) {
    this.#options = { url, prefix, retain, blockMs, batch, claimAfterMs, maxAttempts, onProblem };
    this.#commands = connectRedis(url, { name: 'streams', onProblem });
    this.#appender = new Appender(this.#commands, retain);
  }

  async publish(message: Envelope): Promise<Receipt> {
    const key = logKey(this.#options.prefix, message.channel);
    return { position: await this.#appender.append(key, encode(message)) };
  }

  async subscribe(channel: string, handler: Handler, options: SubscribeOptions = {}): Promise<Subscription> {
    if (options.pattern) throw new PubSubError('unsupported', 'patterns are not supported by Redis Streams');
    const key = logKey(this.#options.prefix, channel);
    const seq = await this.#start(key, options.after);
    // A connection of its own for each: a read that waits holds up whatever is asked behind it.
    const { url, blockMs, onProblem } = this.#options;
    const reader = connectRedis(url, { name: 'reader', silentMs: blockMs + 10_000, commandTimeoutMs: 0, onProblem });
    const { signal } = options;
    if (options.group !== undefined) {
      const place = { commands: this.#commands, reader, key, group: options.group, start: positionOf(seq) };
      const member = await joinGroup(place, this.#options, handler);
      const end = async () => {
        await member.leave();
        await quit(reader);
      };
      return this.#subscriptions.add(end, { signal });
    }
    const stopping = new AbortController();
    const running = followLog(reader, key, { seq, blockMs, signal: stopping.signal, onProblem }, (entry) =>
      this.#deliver(entry, handler),
    );
    const end = async () => {
      stopping.abort();
      hangUp(reader);
      await running.catch(() => {}); // `ended` has it
    };
    return this.#subscriptions.add(end, { signal, running });
  }

  async #start(key: string, after: string | undefined): Promise<number> {
    if (after === OLDEST) return await beforeOldest(this.#commands, key);
    return after === undefined ? await headOf(this.#commands, key) : seqOf(after);
  }

  /** A handler that returns no promise is not waited for: a tick for each message would cost more than many a handler. */
  #deliver({ seq, text }: LogEntry, handler: Handler): void | Promise<void> {
    const { onProblem } = this.#options;
    try {
      const message = decode(text);
      const failed = (cause: unknown) => onProblem(handlerFailed(message, cause));
      try {
        return handler(message, { position: positionOf(seq), attempt: 1 })?.catch(failed);
      } catch (cause) {
        failed(cause);
      }
    } catch (error) {
      onProblem(error as PubSubError);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscriptions.close();
    await quit(this.#commands);
  }
}

function handlerFailed({ channel }: Envelope, cause: unknown): PubSubError {
  return new PubSubError('handler-failed', `a handler of ${channel} failed`, { cause });
}
