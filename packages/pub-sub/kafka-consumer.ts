/**
 * One member of a consumer group on one topic: joins, reads in batches, commits after the work, and comes back.
 *
 * Kafka has no reading without a group. A subscriber that shares nothing is alone in one of its own, commits nothing,
 * and keeps its offsets itself; so each time that it (re)joins it goes on exactly where it was.
 *
 * What surprises in kafkajs: `run` resolves whether or not the group was joined; a rebalance forgets every offset that
 * was not committed; after some errors the consumer is restarted, after others it is dead without a word. Here a crash
 * is reported and followed by a new consumer, whatever it was. Ends with `close`.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Consumer, Kafka } from 'kafkajs';
import { type Work, workOff } from './kafka-batch.ts';
import type { Offsets } from './kafka-cursor.ts';
import { startOf } from './kafka-start.ts';
import { PubSubError } from './protocol.ts';

export interface ConsumeOptions {
  topic: string;
  /** Its full name. Default: alone. */
  group?: string | undefined;
  /** A cursor, or OLDEST. Default: now. */
  after?: string | undefined;
  work: Work;
  onProblem: (problem: PubSubError) => void;
}

const timing = {
  /** The least that Kafka allows (`group.min.session.timeout.ms`): so soon the others get what a dead member had. */
  sessionTimeout: 6_000,
  /** Several in a session, and how soon a member learns that the group is being reassigned. */
  heartbeatInterval: 1_000,
  /** A member that is still working then loses its partitions; the others wait for it until then. */
  rebalanceTimeout: 30_000,
  /** An empty fetch ends after it; so long a close may have to wait. */
  maxWaitTimeInMs: 500,
};

/** After a crash what was done since the last commit is done again; a commit is a round trip. */
const COMMIT_MS = 500;

/** A group is joined in a conversation with its other members, which a broker may break off when one of them is quicker. */
const JOIN_ATTEMPTS = 3;

/** A broker answered, and said no: `type` is Kafka's name for why. */
const isRefusal = (error: unknown) => error instanceof Error && 'type' in error && error.type !== undefined;

/** Resolves when the group has been joined. @throws {PubSubError} `cursor-malformed`, `cursor-expired`; what kafkajs throws. */
export async function consume(kafka: Kafka, options: ConsumeOptions): Promise<{ close: () => Promise<void> }> {
  const { topic, group, work, onProblem } = options;
  const closing = new AbortController();
  const { signal } = closing;
  const heartbeatMs = timing.heartbeatInterval;
  /** Alone: the next offset of each partition. In a group: where it begins, till that is committed. */
  let next: Offsets | undefined;
  let consumer: Consumer | undefined;
  let recovery: Promise<void> | undefined;

  // #region join
  async function join(): Promise<void> {
    const joining = kafka.consumer({
      // Alone, the name is new each time: under the old one Kafka would wait for the member that was lost.
      groupId: group ?? `${topic}.alone.${randomUUID()}`,
      ...timing,
      retry: { restartOnFailure: async () => false }, // see `recover`
    });
    const joined = Promise.withResolvers<void>();
    const crashed = Promise.withResolvers<never>();
    crashed.promise.catch(() => {});
    joining.on(joining.events.CRASH, ({ payload }) => {
      crashed.reject(payload.error);
      if (joining === consumer) recover(payload.error);
    });
    // Called before the first fetch after each (re)join.
    joining.on(joining.events.GROUP_JOIN, ({ payload }) => {
      for (const partition of payload.memberAssignment[topic] ?? []) {
        const offset = next?.get(partition);
        if (offset !== undefined) joining.seek({ topic, partition, offset: `${offset}` });
      }
      joined.resolve();
    });
    try {
      await joining.connect();
      await joining.subscribe({ topics: [topic], fromBeginning: true }); // for a partition that is added later
      next ??= await startOf(kafka, options);
      await joining.run({
        eachBatch: (payload) =>
          workOff(payload, { work, next: group === undefined ? next : undefined, heartbeatMs, signal }),
        eachBatchAutoResolve: false,
        autoCommit: group !== undefined,
        autoCommitInterval: group === undefined ? null : COMMIT_MS,
      });
      await Promise.race([crashed.promise, joined.promise]);
      if (group !== undefined && next.size > 0) {
        // Even where nothing has come yet: if this member went away, the group would not know that it has begun.
        const begin = [...next].map(([partition, offset]) => ({ topic, partition, offset: `${offset}` }));
        await Promise.race([crashed.promise, joining.commitOffsets(begin)]);
        next.clear();
      }
      consumer = joining;
    } catch (error) {
      await joining.disconnect().catch(() => {});
      throw error;
    }
  }
  // #endregion

  function recover(cause: unknown): void {
    onProblem(new PubSubError('unavailable', `the consumer of ${topic} crashed, and is started again`, { cause }));
    consumer = undefined;
    recovery ??= joinUnless(() => false).finally(() => {
      recovery = undefined;
    });
  }

  /** Joins, and tries again when that failed, until `hopeless` says that there is no use, or it is closed. */
  async function joinUnless(hopeless: (error: unknown, attempt: number) => boolean): Promise<void> {
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        await join();
        return;
      } catch (cause) {
        if (hopeless(cause, attempt)) throw cause;
        onProblem(new PubSubError('unavailable', `the consumer of ${topic} cannot join yet`, { cause }));
      }
      // Full jitter, up to five seconds: not everybody at once when a broker comes back.
      const waitMs = Math.random() * Math.min(100 * 2 ** attempt, 5_000);
      await pause(waitMs, undefined, { signal }).catch(() => {});
    }
  }

  async function close(): Promise<void> {
    closing.abort();
    await recovery;
    await consumer?.disconnect(); // waits for the work in hand, and leaves the group
  }

  try {
    await joinUnless((error, attempt) => attempt === JOIN_ATTEMPTS || !isRefusal(error));
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}
