/** What RabbitMQ keeps, and what it does not. */
import type { Guarantees } from './queue.ts';

export const RABBITMQ_GUARANTEES: Guarantees = {
  'at-least-once': true,
  'ack-after-work': true,
  lease: 'a delivery ends with its channel, not with a time: consumer_timeout, 30 minutes by default, is the nearest',
  heartbeat: true,
  fencing:
    'while a worker holds its channel nobody else gets the job, so there is no later holder to be fenced off from',
  attempts: true,
  'dead-letter': true,
  'malformed-aside': true,
  'retry-delay': true,
  release: true,
  'delayed-job': true,
  'order-per-key': 'a job that is tried again goes to the end, and several workers take from the same queue',
  bounded: true,
  'survives-restart': true,
  reconnects: true,
  'oldest-age': 'AMQP does not tell, and looking at the first message would count as a delivery',
};
