/**
 * What the rest of a program may expect of a broker, whichever it is: publish, subscribe, and a list of promises that the broker
 * declares to keep or not to keep.
 *
 * The promises are the contract, not the two methods: every broker has those, and programs break when the broker under them is
 * swapped for one that promises less. One suite of tests (test/guarantees.ts) runs over all brokers, and proves the kept ones and
 * the broken ones alike.
 */
import type { Envelope, PubSubError } from './protocol.ts';

/** Disposing it ends all subscriptions as their `close` does, then the connections. */
export interface Broker extends AsyncDisposable {
  readonly guarantees: Guarantees;
  /**
   * Resolves when the broker has taken the message. Without waiting in between, many go in one write, in the order of the calls.
   * @throws {PubSubError} `unavailable`: no answer; it may have been taken or not. `unsupported`.
   */
  publish(message: Envelope, options?: PublishOptions): Promise<Receipt>;
  /**
   * Resolves when the broker has acknowledged it: what is published from then on is delivered. The handler gets one message at a
   * time; while it returns a promise, the next one waits. What it throws is reported, and nobody else feels it.
   * @throws {PubSubError} `unsupported`, `unavailable`, `cursor-malformed`, `cursor-expired`.
   */
  subscribe(channel: string, handler: Handler, options?: SubscribeOptions): Promise<Subscription>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface PublishOptions {
  /** Messages with the same key stay in order, for a broker that splits a channel. Default: the channel's name. */
  key?: string;
}

export interface Receipt {
  /** How many subscribers it was handed to, if the broker knows. */
  readonly receivers?: number;
  /** Where it stands in the broker's log, if there is one. */
  readonly position?: string;
}

export type Handler = (message: Envelope, delivery: Delivery) => void | Promise<void>;

export interface Delivery {
  /** Where it stands in the broker's log, if there is one: `after` to go on from here. */
  readonly position?: string;
  /** 1 the first time; more when a broker delivers again what was not acknowledged. */
  readonly attempt: number;
}

export interface SubscribeOptions {
  /** Members of a group share the messages of a channel. Without it every subscriber gets all of them. */
  group?: string;
  /** A position, or OLDEST. Default: what is published from now on. A group that exists goes on where it was. */
  after?: string;
  /** `channel` is a glob, such as `news.*`. */
  pattern?: boolean;
  /** Ends the subscription, as `close` does. */
  signal?: AbortSignal;
}

/** The oldest message that the broker still has. */
export const OLDEST = 'oldest';

export interface Subscription extends AsyncDisposable {
  /** Takes no further message, lets the handler finish the one it has, and tells the broker. Safe to call twice. */
  close(): Promise<void>;
  /** Settles when it is over: resolves after `close`, rejects when it cannot go on (`cursor-expired`). */
  readonly ended: Promise<void>;
}

/** What all brokers are told at their making, beside their own addresses. */
export interface BrokerOptions {
  /** Gets what belongs to no call: failed handlers, malformed messages, lost connections. It must not throw. */
  onProblem?: (problem: PubSubError) => void;
  /** Put before every channel and key. Redis' channels ignore the number of the database: two tenants need two prefixes. */
  prefix?: string;
}

// #region guarantees
/** Each is kept (`true`), or not, and then here is why. */
export type Guarantees = Readonly<Record<Clause, true | string>>;

export type Clause =
  | 'everybody-hears' // a message reaches every subscriber of its channel, and of no other
  | 'in-order' // what one publisher says on a channel (with one key) arrives in that order
  | 'patterns' // one subscription to many channels, also to those that begin later
  | 'failing-handler-apart' // a handler that throws gets the next message all the same, and so do the others
  | 'slow-handler-apart' // a handler that takes its time holds up nobody else
  | 'malformed-skipped' // a message that is no envelope is reported, and the next one is delivered
  | 'clean-end' // close lets the handler finish; after it nothing arrives, and no connection is left
  | 'resubscribes' // after a cut connection what is published then arrives
  | 'nothing-lost-by-a-cut' // and so does what was published while the line was down
  | 'nothing-lost-by-absence' // what is published while no member of a group is there waits for one
  | 'replay' // a new subscriber may begin with the oldest message that is kept
  | 'shared-work' // the members of a group get each message once between them
  | 'redelivery' // a message whose handler threw is delivered again, with its attempt counted
  | 'takeover' // what a consumer had in hand when it was killed, another one gets
  | 'poison-set-aside'; // a message that fails every time is moved away with its reason, and holds up no other
// #endregion
