/**
 * A position in a Kafka topic: for each partition the offset of the next record, as `0:12,1:7,2:0,3:41`.
 *
 * One number would not do. A topic is several logs, and only a key holds its messages together in one of them.
 */
import { PubSubError } from './protocol.ts';

/** By partition. Kafka counts to 2^63. */
export type Offsets = Map<number, bigint>;

export function formatCursor(offsets: Offsets): string {
  return [...offsets].map(([partition, offset]) => `${partition}:${offset}`).join(',');
}

/** @throws {PubSubError} `cursor-malformed`. */
export function parseCursor(cursor: string): Offsets {
  if (!/^\d{1,6}:\d{1,19}(,\d{1,6}:\d{1,19})*$/.test(cursor)) {
    throw new PubSubError(
      'cursor-malformed',
      `not a cursor: ${JSON.stringify(cursor.slice(0, 50))}, but like 0:12,1:7`,
    );
  }
  const pairs = cursor.split(',').map((pair) => pair.split(':') as [string, string]);
  return new Map(pairs.map(([partition, offset]) => [Number(partition), BigInt(offset)]));
}
