/**
 * The suite that proves what a broker declares: each clause that is kept, and each one that is not. A clause that is not kept is
 * checked as well, and the check must fail: else the declaration has become untrue in the other direction.
 */
import type { ClauseOfTest } from '@patterns/kit/testing/clause-table';
import { noLeaks } from '@patterns/kit/testing/leaks';
import type { ChildProgram } from '@patterns/kit/testing/processes';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Broker, Clause, Guarantees } from '../broker.ts';
import type { PubSubError } from '../protocol.ts';
import { clauses } from './clauses.ts';

export interface BrokerHarness {
  /** As the table calls it: 'redis-pubsub'. */
  name: string;
  guarantees: Guarantees;
  start: () => Promise<BrokerRig>;
  /** For a broker that takes seconds to let somebody join: then leaks are looked for at the end of the suite, not of each test. */
  concurrent?: boolean;
}

/** A broker to test, with nothing on it. Disposing it ends everything. */
export interface BrokerRig extends AsyncDisposable {
  /** A client with connections of its own, as another process would have. The rig disposes it, unless the test does. */
  connect(onProblem?: (problem: PubSubError) => void): Promise<Broker>;
  /** A channel name that nobody else uses. */
  channel(): Promise<string>;
  /** Puts text on a channel that is no envelope of ours, past our code. */
  publishRaw(channel: string, text: string): Promise<unknown>;
  /** Cuts all connections of the clients that `connect` gave so far, and keeps them from coming back while `work` runs. */
  whileCut(work: () => Promise<void>): Promise<void>;
  /** Makes messages that publish past the cut: a client that `whileCut` does not touch. */
  publisher: Broker;
  /**
   * A process (test/stuck-consumer.ts is Redis') that joins `group` on `channel`, prints "joined" when it is subscribed and "has <id>"
   * for a message, and never finishes with it.
   */
  startStuckConsumer(channel: string, group: string): ChildProgram;
  /** What was set aside on a channel: the ids of the messages, and why. */
  setAside(channel: string): Promise<{ id: string; reason: string }[]>;
  /** Connections of the clients that `connect` gave, as the broker or the proxy before it counts them. */
  connections(): number | Promise<number>;
}

/** Rebalances, claims and reconnects take a second or so each; a clause that is not kept is waited for in vain. */
const CLAUSE_TIMEOUT_MS = 60_000;

/** Declares the suite; call it at the top of a test file. */
export function guaranteesOf({ name, guarantees, start, concurrent = false }: BrokerHarness): void {
  describe(`guarantees of ${name}`, { timeout: CLAUSE_TIMEOUT_MS, concurrent }, () => {
    if (concurrent) {
      let leaks: AsyncDisposable;
      beforeAll(() => {
        leaks = noLeaks();
      });
      afterAll(() => leaks[Symbol.asyncDispose]());
    }
    for (const [clause, { promise, check }] of Object.entries(clauses)) {
      const declared = guarantees[clause as Clause];
      const kept = declared === true;
      const meta: { clause: ClauseOfTest } = { clause: { contract: 'pub-sub guarantees', of: name, clause, kept } };
      test(`${clause}: ${kept ? promise : `NOT kept, because ${declared}`}`, { meta }, async () => {
        await using _leaks = concurrent ? undefined : noLeaks();
        await using rig = await start();
        const checked = check(rig);
        if (kept) await checked;
        // Broken means: waited for in vain, not what was promised, or refused with a word. Anything else is a fault of the test.
        else await expect(checked).rejects.toThrow(/Not within|expected |not supported/);
      });
    }
  });
}
