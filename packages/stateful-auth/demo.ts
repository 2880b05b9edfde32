/**
 * `pnpm dev:stateful-auth`: John logs in, and an attacker, a second server, a restart, and a Redis that dies want to know whether the
 * waiter still remembers him. First as in every introduction, then as it must be.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

const demo: Demo = {
  actors: ['browser', 'server A', 'server B', 'attacker'],
  naive: {
    about:
      'the textbook version: sessions in the memory of one process, one id before and after the login, a guessable secret',
    run: runNaive,
  },
  sound: {
    about: 'sessions in Redis, a new id at each login, and the server has the last word',
    run: runSound,
  },
};

if (import.meta.main) await runDemo(demo);
