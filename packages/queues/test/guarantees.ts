/**
 * The suite that proves what a queue declares, whichever broker keeps it: each clause that is kept, and each one that is not. A clause
 * that is not kept is checked as well, and the check must fail: else the declaration has become untrue in the other direction.
 */
import type { ClauseOfTest } from '@patterns/kit/testing/clause-table';
import { noLeaks } from '@patterns/kit/testing/leaks';
import type { ChildProgram } from '@patterns/kit/testing/processes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Clause, Guarantees, Queue, QueueOptions } from '../queue.ts';
import { clauses } from './clauses.ts';

export interface QueueHarness {
  /** As the table calls it: 'redis', 'postgres'. */
  name: string;
  guarantees: Guarantees;
  /** Called for each clause; clauses run at the same time. */
  start: (clause: Clause) => Promise<QueueRig>;
  /** False where the broker cannot be killed and started again from here: its clause is reported as skipped. */
  restarts?: boolean;
}

/** A broker to test, and the name of a queue on it that nobody else uses. Disposing it ends everything that it gave. */
export interface QueueRig extends AsyncDisposable {
  readonly queueName: string;
  /** A client with connections of its own, as another process would have; of `queueName` unless told. The rig disposes it. */
  open(options?: Partial<QueueOptions>): Promise<Queue>;
  /** Puts text on the queue that is no job of ours, past our code. */
  enqueueRaw(text: string): Promise<unknown>;
  /** Cuts all connections of the clients that `open` gave so far, and keeps them from coming back while `work` runs. */
  whileCut(work: () => Promise<void>): Promise<void>;
  /**
   * Kills the broker with -9, and starts it again with its data: a broker of the rig's own, else other tests would feel it. For the
   * clause that is about it, unless the harness says that it `restarts` not.
   */
  restart?: (() => Promise<void>) | undefined;
  /** A process that takes one job with `leaseMs`, prints "has <id> <attempt>" and never settles it: test/stuck-worker.ts. */
  startStuckWorker(leaseMs: number): ChildProgram;
}

/** Leases, delays and restarts take seconds; a clause that is not kept is waited for in vain. */
const CLAUSE_TIMEOUT_MS = 120_000;

/** Declares the suite; call it at the top of a test file. */
export function guaranteesOf({ name, guarantees, start, restarts = true }: QueueHarness): void {
  // Nearly all of it is waiting for time to pass: they wait together.
  describe(`guarantees of ${name}`, { timeout: CLAUSE_TIMEOUT_MS, concurrent: true }, () => {
    let leaks: AsyncDisposable;
    beforeAll(() => {
      leaks = noLeaks();
    });
    afterAll(() => leaks[Symbol.asyncDispose]());
    for (const [clause, { promise, check }] of Object.entries(clauses) as [Clause, (typeof clauses)[Clause]][]) {
      const declared = guarantees[clause];
      const kept = declared === true;
      const meta: { clause: ClauseOfTest } = { clause: { contract: 'queue guarantees', of: name, clause, kept } };
      const isShown = restarts || clause !== 'survives-restart';
      const title = `${clause}: ${kept ? promise : `NOT kept, because ${declared}`}`;
      test.runIf(isShown)(title, { meta }, async () => {
        await using rig = await start(clause);
        const checked = check(rig);
        if (kept) await checked;
        // Broken means: waited for in vain, not what was promised, or refused with a word. Anything else is a fault of the test.
        else await expect(checked).rejects.toThrow(/Not within|expected |not supported/);
      });
    }
  });
}
