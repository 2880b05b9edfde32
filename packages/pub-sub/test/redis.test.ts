import { requireRedis } from '@patterns/services/testing';
import { redisPubSubGuarantees } from '../redis-pubsub.ts';
import { redisStreamsGuarantees } from '../redis-streams.ts';
import { startRig } from './brokers.ts';
import { guaranteesOf } from './guarantees.ts';

requireRedis()('brokers on Redis', () => {
  guaranteesOf({ name: 'redis-pubsub', guarantees: redisPubSubGuarantees, start: () => startRig('pubsub') });
  guaranteesOf({ name: 'redis-streams', guarantees: redisStreamsGuarantees, start: () => startRig('streams') });
});
