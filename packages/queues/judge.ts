/**
 * The judge: runs what was submitted, and writes the verdict.
 *
 * It may be given the same job twice, and may die at any moment: a verdict is written only where there is none, so a second
 * run changes nothing. What the code did is a verdict, however bad. That we could not run it is a failure of the job, which is
 * tried again; the last time, the customer is told so, and the job goes to the dead letters for us to look at.
 */
import type pg from 'pg';
import type { JobContext } from './attempt.ts';
import type { Job } from './job.ts';
import { LIMITS, type Limits, runCode } from './sandbox.ts';
import { parseSubmission, type Submission, type Verdict } from './submission.ts';

export interface JudgeOptions {
  pool: pg.Pool;
  limits?: Limits;
  /** The worker's own (work.ts): with the last one comes the last word. */
  maxAttempts?: number;
  /** Runs the code. */
  run?: typeof runCode;
}

/** Makes the handler of the jobs `judge`. */
export function judge({ pool, limits = LIMITS, maxAttempts = 5, run = runCode }: JudgeOptions) {
  return async (job: Job, { signal, attempt }: Pick<JobContext, 'signal' | 'attempt'>): Promise<void> => {
    const submission = parseSubmission(job.data);
    if (!(await begin(pool, job))) return;
    try {
      const { code, input } = submission;
      await conclude(pool, job.id, compare(submission, await run({ code, input, limits, signal })));
    } catch (error) {
      // Whoever lost the lease, or stops, has no last word: somebody else has the job.
      if (attempt >= maxAttempts && !signal.aborted) await conclude(pool, job.id, NOT_JUDGED);
      throw error;
    }
  };
}

const NOT_JUDGED: Verdict = { outcome: 'not-judged', output: '', error: 'we could not run it', cpuMs: 0 };

/** What it printed against what it should have printed. White space at the end makes no difference. */
function compare({ expected }: Submission, verdict: Verdict): Verdict {
  if (verdict.outcome !== 'finished' || expected === undefined) return verdict;
  const isRight = verdict.output.trimEnd() === expected.trimEnd();
  return { ...verdict, outcome: isRight ? 'accepted' : 'wrong-answer' };
}

/** A redriven job may still be judged. */
const IS_OPEN = "(s.outcome is null or s.outcome = 'not-judged')";

// #region verdict
/**
 * Notes that it runs. The row may not be there: the front's commit failed after the queue had the job, or is still under way,
 * and then this waits for it. @returns false when it has its verdict.
 */
async function begin(pool: pg.Pool, { id, at }: Job): Promise<boolean> {
  const { rowCount } = await pool.query(
    `insert into shop.submissions as s (id, at, started_at) values ($1, $2, now())
     on conflict (id) do update set started_at = now(), outcome = null, verdict = null where ${IS_OPEN}`,
    [id, at],
  );
  return rowCount === 1;
}

async function conclude(pool: pg.Pool, id: string, verdict: Verdict): Promise<void> {
  await pool.query(`update shop.submissions s set outcome = $2, verdict = $3 where id = $1 and ${IS_OPEN}`, [
    id,
    verdict.outcome,
    JSON.stringify(verdict),
  ]);
}
// #endregion
