/**
 * `pnpm dev:webhooks`: a payment provider, a shop, and everything that can become of a webhook on its way: forged, recorded and
 * sent again, doubled, overtaken, lost; and the shop or the provider killed at the wrong moment. First as in every introduction,
 * then as it must be.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

const demo: Demo = {
  actors: ['provider', 'shop', 'attacker'],
  naive: {
    about: 'the textbook version: nothing is signed, and what has come and what is to be sent is kept in memory',
    run: runNaive,
  },
  sound: {
    about:
      'verified before it is read, written down before it is answered, done in one transaction, asked for when it does not come',
    run: runSound,
  },
};

if (import.meta.main) await runDemo(demo);
