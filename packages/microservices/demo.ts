/**
 * `pnpm dev:microservices`: a food delivery, and what becomes of its orders when a service is killed, is slow, or loses its database.
 * First as in the textbook, three services in a row; then as it must be, under a steady flow of orders, with the books counted.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

const demo: Demo = {
  actors: ['customer', 'gateway', 'order', 'payment', 'notification', 'user', 'Redis', 'PostgreSQL'],
  naive: {
    about: 'the textbook version: three services that call each other in a row, and wait',
    run: runNaive,
  },
  sound: {
    about: 'each waits for as little as it can, does once what it is told twice, and ends what it began',
    run: runSound,
  },
};

if (import.meta.main) await runDemo(demo);
