/**
 * Admission control: so much at a time, and the rest is refused at once instead of queued [SRE book, ch. 21].
 *
 * A queue only hides overload: its requests wait until their callers have given up, and then the work is done for nobody.
 */
import { HttpProblem } from '@patterns/kit/problem';

/** Makes a gate through which at most `most` pieces of work go at a time; what finds it closed throws 503 with Retry-After. */
export function admitAtMost(most: number): <T>(work: () => Promise<T>) => Promise<T> {
  let running = 0;
  return async (work) => {
    if (running >= most) {
      throw new HttpProblem(503, { detail: 'too many orders at once', headers: { 'Retry-After': '1' } });
    }
    running++;
    try {
      return await work();
    } finally {
      running--;
    }
  };
}
