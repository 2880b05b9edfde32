/**
 * Publish/subscribe as every introduction shows it, runnable beside the sound one. It works, while everybody is connected:
 *  - it publishes without waiting for SUBSCRIBE to be acknowledged: whether the first story is heard is a race;
 *  - a connection that breaks is replaced, and subscribed again, by itself: what was published meanwhile is lost, and nobody is told;
 *  - it neither awaits nor catches `publish`: a Redis that is away for some seconds ends the process with an unhandled rejection;
 *  - nobody listens for errors, so ioredis prints them and that is all;
 *  - what arrives is whatever somebody sent: no envelope, no version, no validation; a handler that throws ends the process;
 *  - it has no end: whoever stops it stops it in the middle of a story.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger, envUrl } from '@patterns/kit/env';
import { Redis } from 'ioredis';

/** The textbook's subscriber. */
export function naiveSubscriber(url: string): Redis {
  const subscriber = new Redis(url);
  // oxlint-disable-next-line typescript/no-floating-promises -- the fault itself: nobody waits for the acknowledgement
  subscriber.subscribe('news-updates', (err, count) => {
    if (err) console.error('Failed to subscribe:', err);
    console.log(`Subscribed to ${count as number} channels`);
  });
  subscriber.on('message', (channel, message) => {
    console.log(`Received ${message} from ${channel}`);
  });
  return subscriber;
}

/** The textbook's publisher. */
export function naivePublisher(url: string) {
  const publisher = new Redis(url);
  return (news: { title: string; content: string }) => {
    // oxlint-disable-next-line typescript/no-floating-promises -- the fault itself: nobody learns of a failure
    publisher.publish('news-updates', JSON.stringify(news));
  };
}

if (import.meta.main) {
  const url =
    process.argv[2] ?? envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'or give it as argument' });
  // The textbook has both in one program. COUNT=0 leaves the publisher out.
  naiveSubscriber(url);
  const publishNews = naivePublisher(process.env.PUBLISHER_URL ?? url);
  for (let n = 1; n <= envInteger('COUNT', 1); n++) {
    publishNews({ title: `Story ${n}`, content: 'Important update!' });
    await delay(1_000);
  }
}
