import { requireRedis } from '@patterns/services/testing';
import { redisGuarantees } from '../redis-queue.ts';
import { guaranteesOf } from './guarantees.ts';
import { startRedisRig } from './redis-rig.ts';

requireRedis()('a queue on Redis Streams', () => {
  guaranteesOf({
    name: 'redis',
    guarantees: redisGuarantees,
    start: (clause) => startRedisRig({ own: clause === 'survives-restart' }),
  });
});
