/**
 * `pnpm dev:queues`: a worker is killed in the middle of a job; a job comes that cannot be done; one takes longer than its lease,
 * and its worker is paused; and more comes at once than the queue takes. On any broker: `--broker rabbitmq`. What a broker does
 * not promise is not claimed of it.
 */
import { runDemo } from '@patterns/kit/demo';
import { BROKERS } from './brokers.ts';
import { runNaive } from './demo-naive.ts';
import { runSound } from './demo-sound.ts';

if (import.meta.main) {
  await runDemo({
    choices: { broker: BROKERS },
    actors: ['customer', 'front', 'worker A', 'worker B'],
    naive: {
      about: 'acknowledged before the work, tried again at once and for ever, and written after the payment',
      run: runNaive,
    },
    sound: {
      about: 'a lease until the work is done, a limit to the attempts, and an answer when there is no room',
      run: runSound,
    },
  });
}
