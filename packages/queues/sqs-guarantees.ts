/** What SQS keeps, and what it does not, by its documentation, and as far as the emulator shows it. [Amazon SQS developer guide and API
 *  reference] */
import type { Guarantees } from './queue.ts';

export const SQS_GUARANTEES: Guarantees = {
  'at-least-once': true,
  'ack-after-work': true,
  lease: true,
  heartbeat: true,
  fencing:
    'DeleteMessage answers success whatever the receipt handle, and with an old one "the message might not be deleted"',
  attempts: true,
  'dead-letter': true,
  'malformed-aside': true,
  'retry-delay': true,
  release: 'it is there at once, but every receive counts as an attempt',
  'delayed-job': true,
  'order-per-key': 'a standard queue orders by best effort only; a FIFO queue keeps it',
  bounded: true,
  'survives-restart':
    'the emulator keeps everything in memory; that AWS stores it on several servers cannot be shown from here',
  reconnects: true,
  'oldest-age': 'only CloudWatch knows it (ApproximateAgeOfOldestMessage), once a minute',
};

export const SQS_FIFO_GUARANTEES: Guarantees = {
  ...SQS_GUARANTEES,
  'order-per-key': true,
  'delayed-job': 'a FIFO queue delays all of its jobs or none',
};
