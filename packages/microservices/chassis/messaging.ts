/**
 * Events: publish/subscribe over Redis Streams (pub-sub/redis-streams.ts), as the services use it. Each service is one group, whose
 * instances share the work; a group gets all that is kept, also what was published before it first came.
 *
 * A message comes at least once, in any order between two relays, and late. What a handler does must be the same when it does it
 * twice.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Log } from '@patterns/kit/log';
import { type Broker, OLDEST, type Subscription } from '@patterns/pub-sub/broker';
import { PubSubError } from '@patterns/pub-sub/protocol';
import { RedisStreams } from '@patterns/pub-sub/redis-streams';
import { untilThere } from './database.ts';
import { type Span, startSpan } from './spans.ts';

/** What a member that was killed had in hand, another one gets after so long. */
const CLAIM_AFTER_MS = 2_000;
/** A message that fails is tried for so long before the next one has its turn, */
const PATIENCE_MS = 10_000;
/** and so often after that: a database may be away for minutes. */
const MAX_ATTEMPTS = 30;

export function openBroker({ redisUrl, prefix, log }: { redisUrl: string; prefix: string; log: Log }): Broker {
  const onProblem = ({ code, message, cause }: PubSubError) =>
    void log.warn('broker', { code, reason: message, cause });
  return new RedisStreams({
    url: redisUrl,
    prefix,
    claimAfterMs: CLAIM_AFTER_MS,
    maxAttempts: MAX_ATTEMPTS,
    onProblem,
  });
}

export interface Received<T> {
  readonly data: T;
  /** The same when it comes again. */
  readonly id: string;
  /** Of handling it: the parent of what is done because of it. */
  readonly span: Span;
}

export interface SubscribeOptions<T> {
  channel: string;
  /** Who hears it: the service's name. */
  group: string;
  /** Understands the data. What it throws at is set aside: it never will be understood. */
  read: (data: unknown) => T;
  handle: (message: Received<T>) => Promise<void>;
  log: Log;
  signal?: AbortSignal | undefined;
}

// #region subscribe
/** Joins a group. Waits for a broker that is not there yet; disposed, the message in hand is finished first. */
export async function subscribe<T>(
  broker: Broker,
  { channel, group, read, handle, log, signal }: SubscribeOptions<T>,
): Promise<Subscription> {
  const closing = new AbortController();
  const subscription = await untilThere(
    () =>
      broker.subscribe(
        channel,
        async ({ id, data, traceparent: parent }) => {
          const span = startSpan(`handle ${channel}`, {
            kind: 'consumer',
            parent,
            attributes: { 'messaging.message.id': id },
          });
          try {
            const message = { data: readable(read, data), id, span };
            await patiently(() => handle(message), log, closing.signal);
            span.end();
          } catch (error) {
            span.end(error);
            throw error;
          }
        },
        { group, after: OLDEST },
      ),
    { signal },
  );
  const close = () => {
    closing.abort();
    return subscription.close();
  };
  return { close, ended: subscription.ended, [Symbol.asyncDispose]: close };
}
// #endregion

function readable<T>(read: (data: unknown) => T, data: unknown): T {
  try {
    return read(data);
  } catch (cause) {
    throw new PubSubError('malformed-message', 'the data is not as it was agreed', { cause });
  }
}

/**
 * Tries again what fails because something is away: the message is not at fault, and counting attempts would set it aside while the
 * database restarts.
 */
async function patiently(work: () => Promise<void>, log: Log, closing: AbortSignal): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE_MS;
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (performance.now() > giveUpAt || closing.aborted) throw error;
      log.warn('a message is tried again', { attempt, reason: String(error) });
      await delay(Math.random() * Math.min(2_000, 50 * 2 ** attempt), undefined, { signal: closing }).catch(() => {});
    }
  }
}
