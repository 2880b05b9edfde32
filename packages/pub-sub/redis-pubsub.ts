/**
 * Redis' own publish/subscribe: a message goes to whoever is connected now, and to nobody else. Nothing is kept.
 *
 * What surprises: a subscriber whose line broke is subscribed again by itself, and nothing tells it that it missed anything. Where that
 * matters, the message needs a number and a log behind it (client.ts), or a log in the first place (redis-streams.ts).
 */
import type { Cluster, Redis } from 'ioredis';
import type { Broker, Guarantees, Handler, Receipt, SubscribeOptions, Subscription } from './broker.ts';
import { type Envelope, encode, PubSubError } from './protocol.ts';
import { connectCluster, connectRedis, quit, unavailable } from './redis-connection.ts';
import { Subscriber, type SubscriberOptions } from './redis-subscriber.ts';
import { Subscriptions } from './subscription.ts';

// #region guarantees
const NOTHING_KEPT = 'Redis hands a message to who is subscribed now, and keeps nothing';

export const redisPubSubGuarantees: Guarantees = {
  'everybody-hears': true,
  'in-order': true,
  patterns: true,
  'failing-handler-apart': true,
  'slow-handler-apart': true,
  'malformed-skipped': true,
  'clean-end': true,
  resubscribes: true,
  'nothing-lost-by-a-cut': NOTHING_KEPT,
  'nothing-lost-by-absence': NOTHING_KEPT,
  replay: NOTHING_KEPT,
  'shared-work': 'there are no groups: every subscriber gets every message',
  redelivery: 'there are no acknowledgements',
  takeover: 'there are no acknowledgements',
  'poison-set-aside': 'there are no acknowledgements',
};
// #endregion

export type RedisPubSubOptions = SubscriberOptions;

export class RedisPubSub implements Broker {
  readonly guarantees = redisPubSubGuarantees;
  readonly #options: Required<SubscriberOptions>;
  readonly #publisher: Redis | Cluster;
  /** Its own connection: in RESP2 nothing else may be asked on it, and in RESP3 answers would wait behind messages. */
  readonly #subscriber: Subscriber;
  readonly #subscriptions = new Subscriptions();

  constructor(options: RedisPubSubOptions) {
    const { prefix = '', sharded = false, maxPending = 1_000, pingMs = 5_000 } = options;
    const { onProblem = () => {}, onResubscribed = () => {} } = options;
    this.#options = { url: options.url, prefix, sharded, maxPending, pingMs, onProblem, onResubscribed };
    this.#publisher = sharded
      ? connectCluster(options.url, { onProblem })
      : connectRedis(options.url, { name: 'publisher', pipelined: true, onProblem });
    this.#subscriber = new Subscriber(this.#options);
  }

  async publish(message: Envelope): Promise<Receipt> {
    const channel = `${this.#options.prefix}${message.channel}`;
    const command = this.#options.sharded ? 'spublish' : 'publish';
    try {
      return { receivers: Number(await this.#publisher[command](channel, encode(message))) };
    } catch (error) {
      throw unavailable(error);
    }
  }

  async subscribe(channel: string, handler: Handler, options: SubscribeOptions = {}): Promise<Subscription> {
    const { group, after, pattern = false, signal } = options;
    if (group !== undefined || after !== undefined) throw unsupported('groups and replay');
    if (pattern && this.#options.sharded) throw unsupported('patterns over shards');
    const end = await this.#subscriber.add(channel, pattern, handler);
    return this.#subscriptions.add(end, { signal });
  }

  /** Resolves when all that was published before has been handed to the handlers, if it is ever to be. */
  flush(): Promise<void> {
    return this.#subscriber.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#subscriptions.close();
    await Promise.all([quit(this.#publisher), this.#subscriber.close()]);
  }
}

const unsupported = (what: string) => new PubSubError('unsupported', `${what} are not supported by Redis pub/sub`);
