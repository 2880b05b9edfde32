/** The delivery contract over Redis Streams. */
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { requireExtra } from '@patterns/services/testing';
import { RedisStreams } from '../redis-streams.ts';
import { overBroker, refusals, type Subscribe, startRedisRig, waitingReaders } from './redis-rig.ts';

requireExtra('redis')('redis-streams', () => {
  const subscribe: Subscribe = (url, options) => overBroker(new RedisStreams({ url, blockMs: 1_000 }), options);
  deliveryContract({
    name: 'redis-streams',
    ...refusals,
    start: () => startRedisRig({ subscribe, open: waitingReaders }),
  });
});
