/**
 * `pnpm dev:stateless-auth`: tokens, and what becomes of them in the wrong hands: unsigned, confused, expired, meant for others,
 * changed, guessed, stolen. First as in every introduction, then as it must be. Then what dies with what, beside a session in Redis:
 * and what a logout is worth when nobody is asked.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

const demo: Demo = {
  actors: ['client', 'naive server', 'server A', 'server B', 'issuer', 'session server'],
  naive: {
    about: 'the textbook version, and a verifier written by hand: no expiry, no audience, a secret that can be guessed',
    run: runNaive,
  },
  sound: {
    about: 'one algorithm, one issuer, one audience, a short life; and a refresh token that is good for one use',
    run: runSound,
  },
};

if (import.meta.main) await runDemo(demo);
