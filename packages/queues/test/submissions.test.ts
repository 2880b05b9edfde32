/** The code judge, from the request to the verdict: a front, a queue in Redis, a worker, and sandboxes that are processes. */
import { randomUUID } from 'node:crypto';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { createDatabase } from '@patterns/services/database';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test, vi } from 'vitest';
import { openDatabase, transaction } from '../database.ts';
import { newJob } from '../job.ts';
import { judge } from '../judge.ts';
import { openRedisQueue } from '../redis-queue.ts';
import { runCode } from '../sandbox.ts';
import { startServer } from '../server.ts';
import { parseSubmissionStatus, type Submission, type Verdict } from '../submission.ts';
import { work } from '../work.ts';

const signal = new AbortController().signal;
const limits = { cpuMs: 1_000, memoryBytes: 32 * 1024 * 1024, outputBytes: 2_048 };
const SUM: Submission = {
  language: 'javascript',
  code: "print(input.split(',').reduce((sum, n) => sum + Number(n), 0))",
  input: '1,2,39',
  expected: '42',
};

/** A front with a database of its own; `hire` starts a worker for it. */
async function openJudge({ capacity = 100 } = {}) {
  await using opened = new AsyncDisposableStack();
  const { url: databaseUrl } = opened.use(await createDatabase(inject('databaseUrl'), 'judge'));
  const pool = opened.adopt(await openDatabase(databaseUrl, { size: 4 }), (each) => each.end());
  const redis = { url: inject('redisUrl'), prefix: inject('redisPrefix'), capacity };
  const open = async () => opened.use(await openRedisQueue({ ...redis, name: randomUUID() }));
  const [notifications, queue] = [await open(), await open()];
  const front = opened.use(await startServer({ databaseUrl, notifications, submissions: queue, graceMs: 60_000 }));
  const stopping = new AbortController();
  const running = opened.move();
  return {
    url: front.url,
    pool,
    queue,
    close: () => front[Symbol.asyncDispose](),
    hire(run = runCode) {
      const working = work(
        queue,
        { judge: judge({ pool, limits, maxAttempts: 2, run }) },
        { signal: stopping.signal, maxAttempts: 2, backoff: { baseMs: 10 } },
      );
      running.defer(async () => {
        stopping.abort();
        await working;
      });
    },
    submit: (body: unknown) =>
      fetch(`${front.url}/submissions`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(body),
      }),
    async rows(): Promise<number> {
      return Number((await pool.query('select count(*) from shop.submissions')).rows[0].count);
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

const statusOf = async (url: string) => parseSubmissionStatus(await (await fetch(url)).json());

/** Polls until there is a verdict. */
async function verdictOf(url: string) {
  const find = async () => {
    const status = await statusOf(url);
    return status.state === 'done' && status;
  };
  return (await until('a verdict', find, { withinMs: 40_000 })).verdict;
}

// Each verdict takes a process of its own, and on a busy machine that takes its time.
vi.setConfig({ testTimeout: 60_000 });

requireRedis()('submissions', () => {
  test('are answered at once, with the place where the verdict will be, and judged when there is a worker', async () => {
    await using _leaks = noLeaks({ withinMs: 6_000 });
    await using shop = await openJudge();
    const accepted = await shop.submit(SUM);
    expect(accepted.status).toBe(202);
    const location = new URL(accepted.headers.get('Location')!, shop.url).href;
    expect(await accepted.json()).toMatchObject({ state: 'queued', verdict: null });

    const pending = await fetch(location);
    expect([pending.status, pending.headers.get('Retry-After')]).toEqual([200, '1']);
    expect(await pending.json()).toMatchObject({ state: 'queued' });

    shop.hire();
    expect(await verdictOf(location)).toMatchObject({ outcome: 'accepted', output: '42\n' });
    const done = await fetch(location);
    expect(done.headers.get('Retry-After')).toBeNull();

    const wrong = await shop.submit({ ...SUM, code: 'print("a\\0b")' });
    expect(await verdictOf(new URL(wrong.headers.get('Location')!, shop.url).href)).toMatchObject({
      outcome: 'wrong-answer',
      output: 'a\0b\n',
    });
  });

  test('are told as a stream of their changes, which ends with the verdict', async () => {
    await using shop = await openJudge();
    const { headers } = await shop.submit(SUM);
    const stream = await fetch(new URL(headers.get('Location')!, shop.url), {
      headers: { Accept: 'text/event-stream' },
    });
    expect(stream.headers.get('Content-Type')).toContain('text/event-stream');
    shop.hire();
    const events = (await stream.text()).split('\n\n').filter((event) => event !== '' && event !== ':');
    const states = events.map((event) => {
      const [name, data] = event.split('\n');
      expect(name).toBe('event: status');
      return parseSubmissionStatus(JSON.parse(data!.replace('data: ', ''))).state;
    });
    // Between two looks it may have begun and ended.
    expect(states.filter((state) => state !== 'running')).toEqual(['queued', 'done']);
  });

  test('leave nothing behind when the line is full: 503, Retry-After, no row, no job', async () => {
    await using shop = await openJudge({ capacity: 2 });
    const answers = [await shop.submit(SUM), await shop.submit(SUM), await shop.submit(SUM)];
    expect(answers.map(({ status }) => status)).toEqual([202, 202, 503]);
    expect(answers[2]!.headers.get('Content-Type')).toBe('application/problem+json');
    expect(Number(answers[2]!.headers.get('Retry-After'))).toBeGreaterThan(0);
    expect([await shop.rows(), (await shop.queue.depth()).ready]).toEqual([2, 2]);
  });

  test('that make no sense are refused, and every fault is named', async () => {
    await using shop = await openJudge();
    const refused = await shop.submit({ language: 'cobol', code: 'x'.repeat(32 * 1024 + 1), input: 7, expected: 7 });
    expect([refused.status, refused.headers.get('Content-Type')]).toEqual([400, 'application/problem+json']);
    const { errors } = (await refused.json()) as { errors: { field: string }[] };
    expect(errors.map(({ field }) => field)).toEqual(['/language', '/code', '/input', '/expected']);
    expect((await shop.submit('x'.repeat(100_000))).status).toBe(413);
    expect((await fetch(`${shop.url}/submissions/1`)).status).toBe(404);
    expect((await fetch(`${shop.url}/submissions/${randomUUID()}`)).status).toBe(404);
    expect(await shop.rows()).toBe(0);
  });

  test('that are followed do not hold up a server that stops', async () => {
    await using shop = await openJudge();
    const { headers } = await shop.submit(SUM);
    const stream = await fetch(new URL(headers.get('Location')!, shop.url), {
      headers: { Accept: 'text/event-stream' },
    });
    await Promise.all([stream.text(), shop.close()]); // its grace is a minute
  });

  test('are judged again when the sandbox was killed in the middle', async () => {
    await using shop = await openJudge();
    let runs = 0;
    shop.hire((options) => {
      runs++;
      return runCode({ ...options, onStart: (pid) => runs === 1 && process.kill(pid, 'SIGKILL') });
    });
    const { headers } = await shop.submit(SUM);
    expect(await verdictOf(new URL(headers.get('Location')!, shop.url).href)).toMatchObject({ outcome: 'accepted' });
    expect(runs).toBe(2);
  });

  test('that cannot be run are said to be not judged, and can be redriven', async () => {
    await using shop = await openJudge();
    let isBroken = true;
    shop.hire((options) => runCode({ ...options, onStart: (pid) => isBroken && process.kill(pid, 'SIGKILL') }));
    const { headers } = await shop.submit(SUM);
    const location = new URL(headers.get('Location')!, shop.url).href;
    expect(await verdictOf(location)).toMatchObject({ outcome: 'not-judged' });
    const [letter] = await until('a dead letter', async () => {
      const dead = await shop.queue.dead();
      return dead.length > 0 && dead;
    });
    expect(letter).toMatchObject({ attempts: 2, reason: 'the sandbox ended without a verdict: SIGKILL' });
    isBroken = false;
    await shop.queue.redrive([letter!.id]);
    await until('its verdict', async () => (await statusOf(location)).verdict?.outcome === 'accepted', {
      withinMs: 40_000,
    });
  });

  test('have one verdict, the first, however often they are judged', async () => {
    await using shop = await openJudge();
    const job = newJob({ kind: 'judge', data: SUM });
    const runs: PromiseWithResolvers<Verdict>[] = [];
    const run = () => {
      runs.push(Promise.withResolvers());
      return runs.at(-1)!.promise;
    };
    const handle = judge({ pool: shop.pool, run });
    const judging = [handle(job, { signal, attempt: 1 }), handle(job, { signal, attempt: 2 })];
    await until('two are at it', () => runs.length === 2);
    for (const [n, { resolve }] of runs.entries()) {
      resolve({ outcome: 'finished', output: `run ${n}`, cpuMs: 1 });
      await judging[n];
    }
    await handle(job, { signal, attempt: 3 });
    expect(runs).toHaveLength(2);
    expect((await statusOf(`${shop.url}/submissions/${job.id}`)).verdict).toMatchObject({ output: 'run 0' });
  });

  test('are judged though the job was there before their row, and when the row never came', async () => {
    await using shop = await openJudge();
    const handle = judge({ pool: shop.pool });
    const rolledBack = newJob({ kind: 'judge', data: SUM });
    await handle(rolledBack, { signal, attempt: 1 });
    expect((await statusOf(`${shop.url}/submissions/${rolledBack.id}`)).verdict).toMatchObject({ outcome: 'accepted' });

    const early = newJob({ kind: 'judge', data: SUM });
    let judging: Promise<void> | undefined;
    await transaction(shop.pool, async (client) => {
      await client.query('insert into shop.submissions (id, at) values ($1, $2)', [early.id, early.at]);
      judging = handle(early, { signal, attempt: 1 });
      await until('the judge waits for the commit', async () => {
        // Not on `client`: within a transaction that view stays as it was first seen.
        const waits = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
        const { rows } = await shop.pool.query(waits);
        return rows.length > 0;
      });
    });
    await judging;
    expect((await statusOf(`${shop.url}/submissions/${early.id}`)).verdict).toMatchObject({ outcome: 'accepted' });
  });
});
