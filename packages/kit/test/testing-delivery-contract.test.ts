/** The contract over a minimal server that keeps it, and over the same server with one fault at a time: each is noticed. */
import { describe, expect, test } from 'vitest';
import { clauses } from '../testing/delivery-clauses.ts';
import { type Clause, deliveryContract } from '../testing/delivery-contract.ts';
import { startLineRig } from './fixtures/line-rig.ts';

const shows = { malformed: /^400 text\/plain/, expired: /^410/ };

deliveryContract({ ...shows, start: () => startLineRig() });

describe('with exceptions', () => {
  deliveryContract({
    ...shows,
    start: () => startLineRig('repeats'),
    exceptions: {
      order: 'it says everything twice',
      'resume-after-cut': 'it says everything twice',
      'resume-after-restart': 'it says everything twice',
      'slow-reader-bounded': 'it says everything twice',
      'thousand-subscribers': 'it says everything twice',
    },
  });
});

// Concurrently, because most of it is waiting in vain.
describe.concurrent('notices a server that', () => {
  test.each<[string, Clause, RegExp]>([
    ['repeats', 'order', /^expected \[/],
    ['forgets', 'resume-after-cut', /^Not within 10000 ms: all that was missed/],
    ['forgets', 'resume-after-restart', /^Not within .* item \d+ of 31/],
    ['leaks', 'abort-frees-both-sides', /^Not within 10000 ms: no open stream/],
    ['unbounded', 'slow-reader-bounded', /^bytes kept for one reader/],
    ['credulous', 'malformed-cursor', /^nonsense: expected/],
    ['silent', 'expired-cursor', /^expected '200/],
    ['deaf', 'shutdown-deadline', /^Not within 7500 ms: exit of the server/],
  ])('%s (%s)', { timeout: 45_000 }, async (fault, clause, complaint) => {
    await using rig = await startLineRig(fault);
    await expect(clauses[clause].check(rig, { ...shows, start: startLineRig })).rejects.toThrow(complaint);
  });
});
