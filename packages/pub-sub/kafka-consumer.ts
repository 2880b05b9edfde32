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
import type { Consumer, EachBatchPayload, Kafka, KafkaMessage } from 'kafkajs';
import { formatCursor, type Offsets } from './kafka-cursor.ts';
import { startOf } from './kafka-start.ts';
import { PubSubError } from './protocol.ts';

export interface ConsumeOptions {
  topic: string;
  /** Its full name. Default: alone. */
  group?: string | undefined;
  /** A cursor, or OLDEST. Default: now. */
  after?: string | undefined;
  /** Resolves with false when it gave up because of the signal: then it is not committed. */
  work: (record: KafkaMessage, position: string, signal: AbortSignal) => Promise<boolean>;
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

/** Resolves when the group has been joined. @throws {PubSubError} `cursor-malformed`, `cursor-expired`; what kafkajs throws. */
export async function consume(kafka: Kafka, options: ConsumeOptions): Promise<{ close(): Promise<void> }> {
  const { topic, group, work, onProblem } = options;
  const closing = new AbortController();
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
    joined.promise.catch(() => {});
    joining.on(joining.events.CRASH, ({ payload }) => {
      joined.reject(payload.error);
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
        eachBatch,
        eachBatchAutoResolve: false,
        autoCommit: group !== undefined,
        autoCommitInterval: group === undefined ? null : COMMIT_MS,
      });
      await joined.promise;
      consumer = joining;
      if (group === undefined) return;
      // Committed even where nothing has come yet: if this member went away, the group would not know that it has begun.
      const begin = [...next].map(([partition, offset]) => ({ topic, partition, offset: `${offset}` }));
      if (begin.length > 0) await joining.commitOffsets(begin);
      next.clear();
    } catch (error) {
      await joining.disconnect().catch(() => {});
      throw error;
    }
  }
  // #endregion

  // #region batch
  async function eachBatch(payload: EachBatchPayload): Promise<void> {
    const { batch, heartbeat, isRunning, isStale, resolveOffset, commitOffsetsIfNecessary } = payload;
    const { partition } = batch;
    for (const record of batch.messages) {
      if (closing.signal.aborted || !isRunning() || isStale()) return;
      const following = BigInt(record.offset) + 1n;
      let position = formatCursor(new Map([[partition, following]]));
      if (group === undefined && next) {
        if (following <= (next.get(partition) ?? 0n)) continue; // done before a rejoin
        position = formatCursor(next.set(partition, following));
      }
      // While the work goes on, somebody has to say that we live. What is wrong with the group, the call below says too.
      const beat = setInterval(() => void heartbeat().catch(() => {}), timing.heartbeatInterval);
      const done = await work(record, position, closing.signal).finally(() => clearInterval(beat));
      if (!done) return;
      resolveOffset(record.offset);
      await commitOffsetsIfNecessary();
      await heartbeat();
    }
  }
  // #endregion

  function recover(cause: unknown): void {
    onProblem(new PubSubError('unavailable', `the consumer of ${topic} crashed, and is started again`, { cause }));
    recovery ??= rejoin().finally(() => {
      recovery = undefined;
    });
  }

  async function rejoin(): Promise<void> {
    consumer = undefined;
    for (let attempt = 1; !closing.signal.aborted; attempt++) {
      // Full jitter, up to five seconds: not everybody at once when a broker comes back.
      const waitMs = Math.random() * Math.min(100 * 2 ** attempt, 5_000);
      await pause(waitMs, undefined, { signal: closing.signal }).catch(() => {});
      if (closing.signal.aborted) return;
      try {
        await join();
        return;
      } catch (cause) {
        onProblem(new PubSubError('unavailable', `the consumer of ${topic} cannot join`, { cause }));
      }
    }
  }

  async function close(): Promise<void> {
    closing.abort();
    await recovery;
    await consumer?.disconnect(); // waits for the work in hand, and leaves the group
  }

  try {
    await join();
    return { close };
  } catch (error) {
    await close();
    throw error;
  }
}
