/**
 * A job is held by a transaction that stays open: it deletes the rows of a batch, and commits when the last of them is settled.
 *
 * The connection is the lease. A worker that dies takes it along, PostgreSQL rolls back, and the jobs are there again at once, as if
 * nobody had taken them; one that lives and says nothing has its session ended after `leaseMs` without a word. A job costs one
 * write instead of two, and gives up three things for it. Nobody counts the attempts of workers that died: a job that kills its worker
 * comes back for ever. What is done counts when its whole batch is: until then a crash repeats it. And what died in the tables since
 * the oldest open batch began cannot be vacuumed. So: for many short jobs of one kind, and never for long ones.
 */
import { Batch, type Receipt, receiptOf } from './postgres-queue-batch.ts';
import type { Hold, Taken } from './postgres-queue-hold.ts';
import { postgresGuarantees } from './postgres-queue-lease.ts';
import { openPool, unavailable } from './postgres-queue-table.ts';
import type { Guarantees } from './queue.ts';

export const postgresTransactionGuarantees: Guarantees = {
  ...postgresGuarantees,
  attempts: 'the attempt of a worker that died is rolled back with its transaction',
};

/** Connections, each with a batch. While all are in use, nothing more is taken. */
const OPEN_BATCHES = 8;

export interface TransactionHoldOptions {
  url: string;
  queue: string;
  onProblem: (problem: Error) => void;
  /** Called when there is a connection again for the next batch. */
  onFree: () => void;
}

/** Has connections of its own, so that a worker that holds them all can still enqueue. */
export function transactionHold({ url, queue, onProblem, onFree }: TransactionHoldOptions): Hold {
  const pool = openPool(url, queue, OPEN_BATCHES, onProblem);
  const open = new Set<Batch>();
  const onOver = (batch: Batch) => {
    const wasFull = open.size === OPEN_BATCHES;
    open.delete(batch);
    if (wasFull) onFree();
  };

  /** @returns whether it was. */
  async function committed(batch: Batch): Promise<boolean> {
    try {
      await batch.commit();
      return true;
    } catch (error) {
      batch.abandon();
      onProblem(unavailable(error)); // what was settled of it before comes again, too
      return false;
    }
  }

  return {
    guarantees: postgresTransactionGuarantees,

    async take(limit, leaseMs) {
      if (open.size >= OPEN_BATCHES) return [];
      const batch = new Batch(await pool.connect(), queue, onOver);
      open.add(batch);
      try {
        const rows = await batch.take(limit, leaseMs);
        return rows.map((row): Taken => ({ text: row.job, attempt: row.attempts + 1, receipt: { row, batch } }));
      } catch (error) {
        batch.abandon();
        throw error;
      }
    },

    // #region settle
    /** What is settled counts when the last of its batch is. */
    async settle(verdicts) {
      const late: unknown[] = [];
      const complete = new Set<Batch>();
      for (const verdict of verdicts) {
        const { batch } = receiptOf(verdict);
        if (batch.isOver) late.push(verdict.delivery.receipt);
        else if (batch.settle(verdict)) complete.add(batch);
      }
      for (const batch of complete) {
        if (await committed(batch)) continue;
        const receipts = verdicts.map(receiptOf);
        late.push(...receipts.filter((receipt) => receipt.batch === batch));
      }
      return late;
    },
    // #endregion

    async extend(receipts, leaseMs) {
      const batches = new Set((receipts as Receipt[]).map(({ batch }) => batch));
      await Promise.all([...batches].map((batch) => batch.extend(leaseMs)));
      return (receipts as Receipt[]).filter(({ batch }) => batch.isOver);
    },

    async [Symbol.asyncDispose]() {
      for (const batch of open) batch.abandon();
      await pool.end();
    },
  };
}
