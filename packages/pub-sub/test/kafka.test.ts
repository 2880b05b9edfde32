/** What the Kafka broker declares, proven on KAFKA_BROKERS, on docker compose's Kafka, or on a double that is called one. */
import { findKafka, type KafkaService } from '@patterns/services/kafka';
import { requireKafka } from '@patterns/services/testing';
import { afterAll, beforeAll } from 'vitest';
import { kafkaGuarantees } from '../kafka.ts';
import { guaranteesOf } from './guarantees.ts';
import { startKafkaRig } from './kafka-rig.ts';

const kafka = await requireKafka();

kafka.describe('Kafka', () => {
  let service: KafkaService;
  beforeAll(async () => {
    service = await findKafka();
  });
  afterAll(() => service[Symbol.asyncDispose]());

  guaranteesOf({
    name: kafka.name,
    guarantees: kafkaGuarantees,
    start: () => startKafkaRig(service),
    concurrent: true,
  });
});
