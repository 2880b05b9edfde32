/** The delivery contract over pub/sub with a log behind it. */
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { requireExtra } from '@patterns/services/testing';
import { subscribe as subscribeDesk } from '../client.ts';
import { refusals, type Subscribe, startRedisRig, subscribers } from './redis-rig.ts';

requireExtra('redis')('the newsroom and its desks', () => {
  const subscribe: Subscribe = (url, options) => subscribeDesk(url, { ...options, lookEveryMs: 5_000 });
  deliveryContract({
    name: 'pub-sub newsroom',
    ...refusals,
    start: () => startRedisRig({ subscribe, open: subscribers }),
  });
});
