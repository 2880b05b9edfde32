/** The delivery contract over bare pub/sub, and the proof of what it does not keep. */
import { deliveryContract } from '@patterns/kit/testing/delivery-contract';
import { requireExtra } from '@patterns/services/testing';
import { RedisPubSub } from '../redis-pubsub.ts';
import { overBroker, refusals, type Subscribe, startRedisRig, subscribers } from './redis-rig.ts';

const NOTHING_KEPT = 'Redis pub/sub keeps nothing';

requireExtra('redis')('redis-pubsub', () => {
  // It has no cursors to refuse: one that is given is left out.
  const subscribe: Subscribe = (url, { signal }) => overBroker(new RedisPubSub({ url }), { signal });
  deliveryContract({
    name: 'redis-pubsub',
    ...refusals,
    start: () => startRedisRig({ subscribe, open: subscribers }),
    exceptions: {
      order: `${NOTHING_KEPT}: who comes late has no backlog`,
      'resume-after-cut': NOTHING_KEPT,
      'resume-after-restart': NOTHING_KEPT,
      'slow-reader-bounded': `${NOTHING_KEPT}: it does cut a slow reader off, with all that waited for it`,
      'malformed-cursor': 'there are no cursors',
      'expired-cursor': 'there are no cursors',
    },
  });
});
