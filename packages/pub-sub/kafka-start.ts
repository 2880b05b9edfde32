/**
 * Where a subscriber of a Kafka topic begins. Kafka would begin "at the end", whenever the first fetch gets there: what
 * is published between the subscription and that fetch would be missed. So the ends are looked up, and held to.
 */
import type { Kafka } from 'kafkajs';
import { OLDEST } from './broker.ts';
import { type Offsets, parseCursor } from './kafka-cursor.ts';
import { PubSubError } from './protocol.ts';

export interface StartQuestion {
  topic: string;
  /** For a group: only the partitions where it has not begun yet. */
  group?: string | undefined;
  /** A cursor, or OLDEST. Default: now. */
  after?: string | undefined;
}

/** The offset to begin with, by partition. @throws {PubSubError} `cursor-malformed`, `cursor-expired`. */
export async function startOf(kafka: Kafka, { topic, group, after }: StartQuestion): Promise<Offsets> {
  const named = after === undefined || after === OLDEST ? new Map() : parseCursor(after);
  const admin = kafka.admin();
  await admin.connect();
  try {
    // First the ends, then what the group has committed. The other way round, a member that came in between could have
    // begun and been sent something, and our end would be behind it.
    const start: Offsets = new Map();
    for (const { partition, low, high } of await admin.fetchTopicOffsets(topic)) {
      // A partition that the cursor does not name: rather all of it than a hole.
      const offset = after === undefined ? BigInt(high) : (named.get(partition) ?? BigInt(low));
      if (offset < BigInt(low)) throw expired(partition, offset, low);
      if (offset > BigInt(high)) throw malformed(partition, offset, high);
      start.set(partition, offset);
    }
    const [committed] = group === undefined ? [] : await admin.fetchOffsets({ groupId: group, topics: [topic] });
    for (const { partition, offset } of committed?.partitions ?? []) if (BigInt(offset) >= 0n) start.delete(partition);
    return start;
  } finally {
    await admin.disconnect();
  }
}

function expired(partition: number, offset: bigint, low: string): PubSubError {
  return new PubSubError(
    'cursor-expired',
    `partition ${partition} is kept from ${low} on, and no longer from ${offset}`,
  );
}

function malformed(partition: number, offset: bigint, high: string): PubSubError {
  return new PubSubError('cursor-malformed', `partition ${partition} ends at ${high}: there is no ${offset} yet`);
}
