/** What a message of RabbitMQ says: a job and how often it was tried, or something that is no job. */
import { decodeJob } from './job.ts';
import type { Delivery } from './queue.ts';
import type { Receipt } from './rabbitmq-consumer.ts';
import type { Parcel } from './rabbitmq-publisher.ts';

export interface Malformed {
  receipt: Receipt;
  problem: Error;
  /** For the dead letters. */
  parcel: Parcel;
}

export function decode(receipts: readonly Receipt[]): { deliveries: Delivery[]; malformed: Malformed[] } {
  const deliveries: Delivery[] = [];
  const malformed: Malformed[] = [];
  for (const receipt of receipts) {
    const { content, properties } = receipt.message;
    const { attempts = 0, 'x-delivery-count': redelivered = 0 } = (properties.headers ?? {}) as Record<string, number>;
    // Ours counts the attempts that were settled; a quorum queue counts those whose channel was closed.
    const attempt = attempts + redelivered + 1;
    const text = content.toString();
    try {
      deliveries.push({ job: decodeJob(text), attempt, receipt });
    } catch (error) {
      const problem = error as Error;
      const headers = { attempts: attempt, reason: problem.message };
      malformed.push({ receipt, problem, parcel: { id: crypto.randomUUID(), text, headers } });
    }
  }
  return { deliveries, malformed };
}

/** Its channel is closed: the broker has given it to somebody else. */
export function isLost({ receipt }: Delivery): boolean {
  return !(receipt as Receipt).isHeld;
}
