/**
 * Works off what one fetch brought of one partition: a message at a time, each committed after its work.
 */
import type { EachBatchPayload, KafkaMessage } from 'kafkajs';
import { formatCursor, type Offsets } from './kafka-cursor.ts';

/** Resolves with false when it gave up because of the signal: then the message is not committed. */
export type Work = (record: KafkaMessage, position: string, signal: AbortSignal) => Promise<boolean>;

export interface BatchOptions {
  work: Work;
  /** Of a subscriber that is alone: the next offset of each partition. It is kept up to date. */
  next: Offsets | undefined;
  heartbeatMs: number;
  signal: AbortSignal;
}

// #region batch
export async function workOff(
  payload: EachBatchPayload,
  { work, next, heartbeatMs, signal }: BatchOptions,
): Promise<void> {
  const { partition, messages } = payload.batch;
  for (const record of messages) {
    if (signal.aborted || !payload.isRunning() || payload.isStale()) return;
    const following = BigInt(record.offset) + 1n;
    if (next && following <= (next.get(partition) ?? 0n)) continue; // done before a rejoin
    const position = formatCursor(next?.set(partition, following) ?? new Map([[partition, following]]));
    // While the work goes on, somebody has to say that we live. What is wrong with the group, the call below says too.
    const beat = setInterval(() => void payload.heartbeat().catch(() => {}), heartbeatMs);
    const done = await work(record, position, signal).finally(() => clearInterval(beat));
    if (!done) return;
    payload.resolveOffset(record.offset);
    await payload.commitOffsetsIfNecessary();
    await payload.heartbeat();
  }
}
// #endregion
