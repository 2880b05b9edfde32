/** What the two ways of holding a job have in common: the lease that is written down, and the transaction that stays open. */
import type { Delivery, Guarantees, Outcome } from './queue.ts';

/** A receipt is the hold's own, and names one taking of one job. */
export interface Hold extends AsyncDisposable {
  readonly guarantees: Guarantees;
  /** What is there now, without waiting. */
  take(limit: number, leaseMs: number): Promise<Taken[]>;
  /** Returns the receipts that no longer count. So does `extend`. */
  settle(verdicts: readonly Verdict[]): Promise<unknown[]>;
  extend(receipts: readonly unknown[], leaseMs: number): Promise<unknown[]>;
}

/** A row that was taken, a job or not. */
export interface Taken {
  readonly text: string;
  readonly attempt: number;
  readonly receipt: unknown;
}

/** An `Outcome`, also of what is no job. */
export interface Verdict {
  readonly delivery: Pick<Delivery, 'receipt'>;
  readonly as: Outcome['as'];
  readonly delayMs?: number;
  readonly reason?: string;
}
