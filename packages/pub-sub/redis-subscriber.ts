/**
 * The subscribing half of Redis pub/sub: one connection, what is subscribed on it, and who wants it.
 *
 * Redis forgets a subscriber with its connection. So each new connection subscribes to everything again; what was published in
 * between is lost, and `onResubscribed` is all that tells. It ends with `close`.
 */
import type { Cluster, Redis } from 'ioredis';
import type { BrokerOptions, Handler } from './broker.ts';
import { Inbox } from './inbox.ts';
import { decode, type PubSubError } from './protocol.ts';
import { connectCluster, connectRedis, inTime, quit, unavailable } from './redis-connection.ts';

export interface SubscriberOptions extends BrokerOptions {
  /** Of any node, when sharded. */
  url: string;
  /** In a cluster every node passes on every PUBLISH. Sharded, a channel is its slot's master's alone [SPUBLISH, Redis 7.0]. */
  sharded?: boolean;
  /** Messages that may wait for one handler; what comes beyond is dropped, and reported. */
  maxPending?: number;
  /** A subscriber is owed nothing, so a dead line looks like a quiet channel: it asks. A dead line is found in three of these. */
  pingMs?: number;
  /** Told when all subscriptions are acknowledged again, after the line was lost. */
  onResubscribed?: () => void;
}

/** A channel or glob that Redis sends us. */
interface Topic {
  readonly name: string;
  readonly pattern: boolean;
  readonly inboxes: Set<Inbox>;
  acknowledged: Promise<unknown>;
}

export class Subscriber {
  readonly #options: Required<SubscriberOptions>;
  readonly #redis: Redis | Cluster;
  readonly #channels = new Map<string, Topic>();
  readonly #patterns = new Map<string, Topic>();
  readonly #pinging: NodeJS.Timeout;

  constructor(options: Required<SubscriberOptions>) {
    this.#options = options;
    const { url, sharded, pingMs, onProblem } = options;
    this.#redis = sharded
      ? connectCluster(url, { onProblem })
      : connectRedis(url, { name: 'subscriber', silentMs: 2 * pingMs, onProblem });
    const hear = (name: string, text: string) => this.#receive(this.#channels.get(name), text);
    this.#redis.on('message', hear).on('smessage', hear);
    this.#redis.on('pmessage', (glob, _name, text) => this.#receive(this.#patterns.get(glob), text));
    this.#redis.once('ready', () => this.#redis.on('ready', () => void this.#resubscribe()));
    this.#pinging = setInterval(() => {
      if (this.#redis.status === 'ready') this.flush().catch(() => {}); // the line's own error says it
    }, pingMs);
  }

  // #region add
  /** Resolves when Redis has acknowledged it. @returns what ends it. */
  async add(channel: string, pattern: boolean, handler: Handler): Promise<() => Promise<void>> {
    const { prefix } = this.#options;
    // In a glob, what is special in the prefix must stand for itself.
    const name = `${pattern ? prefix.replace(/[\\*?[\]]/g, '\\$&') : prefix}${channel}`;
    const topics = pattern ? this.#patterns : this.#channels;
    let topic = topics.get(name);
    if (!topic) {
      topic = { name, pattern, inboxes: new Set(), acknowledged: this.#ask('subscribe', { name, pattern }) };
      topics.set(name, topic);
    }
    const { inboxes } = topic;
    const inbox = new Inbox(handler, this.#options);
    inboxes.add(inbox);
    try {
      await topic.acknowledged;
    } catch (error) {
      if (topics.get(name) === topic) topics.delete(name);
      throw unavailable(error);
    }
    return async () => {
      inboxes.delete(inbox);
      if (inboxes.size === 0 && topics.delete(name)) await inTime(this.#ask('unsubscribe', { name, pattern }));
      await inbox.close();
    };
  }
  // #endregion

  /** Resolves when all that Redis had for us before it was asked has been handed to the handlers: a line keeps its order. */
  async flush(): Promise<void> {
    try {
      await this.#redis.ping();
    } catch (error) {
      throw unavailable(error);
    }
  }

  async #resubscribe(): Promise<void> {
    const topics = [...this.#channels.values(), ...this.#patterns.values()];
    if (topics.length === 0) return;
    try {
      for (const topic of topics) topic.acknowledged = this.#ask('subscribe', topic);
      await Promise.all(topics.map(({ acknowledged }) => acknowledged));
      this.#options.onResubscribed();
    } catch (error) {
      this.#options.onProblem(unavailable(error)); // the line broke again: its next 'ready' comes here
    }
  }

  #ask(verb: 'subscribe' | 'unsubscribe', { name, pattern }: { name: string; pattern: boolean }): Promise<unknown> {
    const kind = pattern ? 'p' : this.#options.sharded ? 's' : '';
    return this.#redis[`${kind}${verb}`](name);
  }

  /** Decoded once, however many listen. */
  #receive(topic: Topic | undefined, text: string): void {
    if (!topic) return; // unsubscribed, and this one was on its way
    try {
      const message = decode(text);
      for (const inbox of topic.inboxes) inbox.push(message);
    } catch (error) {
      this.#options.onProblem(error as PubSubError);
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#pinging);
    await quit(this.#redis);
  }
}
