/**
 * The delivery contract: one suite of tests that every pattern which delivers events runs against its own server and
 * client, as real processes behind a proxy that fails on demand. The clauses themselves are in `delivery-clauses.ts`.
 *
 * A pattern that by its nature can't keep a clause says so in `exceptions`, with the reason; the suite then proves that it
 * does not keep it, so that an exception which has become untrue is found as well.
 */
import { describe, expect, test } from 'vitest';
import type {} from './clause-table.ts';
import { clauses } from './delivery-clauses.ts';
import type { FaultProxy } from './fault-proxy.ts';
import { noLeaks } from './leaks.ts';

export type Clause =
  | 'order'
  | 'resume-after-cut'
  | 'resume-after-restart'
  | 'abort-frees-both-sides'
  | 'slow-reader-bounded'
  | 'malformed-cursor'
  | 'expired-cursor'
  | 'thousand-subscribers'
  | 'shutdown-deadline';

/** What the suite looks at: the id is the cursor. */
export interface DeliveredEvent {
  readonly id: string;
}

export interface DeliveryHarness {
  /** Its column in the table of clauses. Default: the test's project. */
  name?: string;
  /** Starts all that one test needs: an empty feed, the server's process, the proxy in front of it. */
  start(): Promise<DeliveryRig>;
  /** What `ask` returns for a cursor that is none, e.g. /^400 application\/problem\+json/. */
  malformed: RegExp;
  /** What `ask` returns for an expired cursor: /^410/, or the pattern's own equivalent. */
  expired: RegExp;
  exceptions?: Partial<Record<Clause, string>>;
}

/** A running server and its surroundings. Disposing it ends everything; what is left open fails the test. */
export interface DeliveryRig extends AsyncDisposable {
  /** The server itself, past the proxy; another one after a restart. */
  readonly url: string;
  /** In front of the server, across restarts. */
  readonly proxy: FaultProxy;
  /** Appends to the feed an event whose encoded form has at least `bytes` bytes. Appends in sequence get ids in sequence. */
  append(bytes?: number): Promise<DeliveredEvent>;
  /** The pattern's own client. It must reconnect within a second or so, for the tests' sake. */
  subscribe(url: string, options: { after: string; signal: AbortSignal }): AsyncIterable<DeliveredEvent>;
  /** Kills the server with -9, starts it anew, points the proxy at it. */
  restartServer(): Promise<void>;
  /** Sends SIGTERM; resolves with the exit code when the process is gone. */
  stopServer(): Promise<number | null>;
  /** The server's own gauge of open subscriptions, asked past the proxy. */
  openStreams(): Promise<number>;
  /** How many of those a waiting subscriber holds; default 1. Patterns whose clients come and go hold 0. */
  readonly streamsPerSubscriber?: number;
  /** Appends past the retention; resolves with a cursor that was valid before. */
  expire(): Promise<string>;
  /** One bare request with that cursor: status, content type and beginning of the answer, as text. */
  ask(cursor: string): Promise<string>;
}

/** Enough for the slowest clause: a shutdown waits for the server's drain, a lossy pattern for what never comes. */
const CLAUSE_TIMEOUT_MS = 45_000;

/** Declares the suite; call it at the top of a test file. */
export function deliveryContract(harness: DeliveryHarness): void {
  describe('delivery contract', { timeout: CLAUSE_TIMEOUT_MS }, () => {
    for (const [clause, { promise, check }] of Object.entries(clauses)) {
      const reason = harness.exceptions?.[clause as Clause];
      const title = reason ? `${clause}: NOT kept, because ${reason}` : `${clause}: ${promise}`;
      const meta = { clause: { contract: 'delivery contract', of: harness.name, clause, kept: !reason } };
      test(title, { meta }, async () => {
        await using _leaks = noLeaks();
        await using rig = await harness.start();
        const checked = check(rig, harness);
        // Broken means: it was waited for in vain, or it was not what was promised. Anything else is a fault of the test.
        if (reason) await expect(checked).rejects.toThrow(/Not within|expected /);
        else await checked;
      });
    }
  });
}
