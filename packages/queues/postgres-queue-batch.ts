/** The jobs that were taken in one transaction, which stays open until the last of them is settled. */
import type pg from 'pg';
import type { Verdict } from './postgres-queue-hold.ts';
import { NEXT } from './postgres-queue-table.ts';

const TAKE = `
  delete from queues.jobs where seq = any(${NEXT})
  returning seq, key, job, attempts, set_config('idle_in_transaction_session_timeout', $3, true)`;

const EXTEND = `select set_config('idle_in_transaction_session_timeout', $1, true)`;

/** The clock, and not now(), which is when the transaction began. With its old number a job keeps its place among those of its key. */
const BACK = `
  insert into queues.jobs (seq, queue, key, job, attempts, run_at)
  select seq, $1, key, job, attempts, clock_timestamp() + make_interval(secs => seconds)
  from unnest($2::bigint[], $3::text[], $4::text[], $5::int[], $6::float8[]) as back(seq, key, job, attempts, seconds)`;

const DEAD = `
  insert into queues.dead (queue, key, job, attempts, reason)
  select $1, * from unnest($2::text[], $3::text[], $4::int[], $5::text[])`;

export interface Row {
  readonly seq: string;
  readonly key: string | null;
  readonly job: string;
  readonly attempts: number;
}

export interface Receipt {
  readonly row: Row;
  readonly batch: Batch;
}

export const receiptOf = ({ delivery }: Verdict): Receipt => delivery.receipt as Receipt;

/** The lease, which PostgreSQL keeps for us: a session that says nothing for so long within a transaction is ended. */
const timeout = (ms: number): string => `${Math.ceil(ms)}`;

export class Batch {
  readonly #client: pg.PoolClient;
  readonly #queue: string;
  readonly #onOver: (batch: Batch) => void;
  readonly #back: Verdict[] = [];
  readonly #dead: Verdict[] = [];
  #unsettled = 0;
  #hasKeys = false;
  #isCommitting = false;
  isOver = false;

  /** `client` is the batch's until it is over. `onOver` is called once, whoever ended it. */
  constructor(client: pg.PoolClient, queue: string, onOver: (batch: Batch) => void) {
    this.#client = client.on('error', this.#lose);
    this.#queue = queue;
    this.#onOver = onOver;
  }

  // #region take
  async take(limit: number, leaseMs: number): Promise<Row[]> {
    const values = [this.#queue, limit, timeout(leaseMs)];
    await this.#client.query('begin');
    const { rows } = await this.#client.query<Row>({ name: 'take', text: TAKE, values });
    this.#unsettled = rows.length;
    this.#hasKeys = rows.some(({ key }) => key !== null);
    if (rows.length === 0) await this.commit();
    return rows;
  }
  // #endregion

  /** It is written down with the batch. @returns whether it was the last one: then it is time to commit. */
  settle(verdict: Verdict): boolean {
    if (verdict.as === 'dead') this.#dead.push(verdict);
    else if (verdict.as !== 'done') this.#back.push(verdict);
    this.#unsettled--;
    return this.#unsettled === 0;
  }

  // #region commit
  async commit(): Promise<void> {
    this.#isCommitting = true;
    const [client, queue, back, dead] = [this.#client, this.#queue, this.#back, this.#dead];
    const column = <K extends keyof Row>(of: Verdict[], name: K) => of.map((verdict) => receiptOf(verdict).row[name]);
    if (back.length > 0) {
      const attempts = back.map((verdict) => receiptOf(verdict).row.attempts + (verdict.as === 'retry' ? 1 : 0));
      const seconds = back.map(({ delayMs = 0 }) => delayMs / 1_000);
      const values = [queue, column(back, 'seq'), column(back, 'key'), column(back, 'job'), attempts, seconds];
      await client.query({ name: 'back', text: BACK, values });
    }
    if (dead.length > 0) {
      const attempts = dead.map((verdict) => receiptOf(verdict).row.attempts + 1);
      const values = [queue, column(dead, 'key'), column(dead, 'job'), attempts, dead.map(({ reason }) => reason)];
      await client.query({ name: 'dead', text: DEAD, values });
    }
    // There is something to be taken again, or no longer anything that holds up a key.
    if (back.length > 0 || this.#hasKeys) await client.query(`select pg_notify('queues', $1)`, [queue]);
    await client.query('commit');
    this.#end(false);
  }
  // #endregion

  /** A word on the connection is one for all jobs of the batch. */
  async extend(leaseMs: number): Promise<void> {
    if (!this.isOver && !this.#isCommitting) await this.#client.query(EXTEND, [timeout(leaseMs)]).catch(this.#lose);
  }

  /** Closes the connection, and PostgreSQL rolls back what was not committed. */
  abandon(): void {
    this.#end(true);
  }

  readonly #lose = (): void => this.#end(true);

  #end(isBroken: boolean): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#client.off('error', this.#lose).release(isBroken);
    this.#onOver(this);
  }
}
