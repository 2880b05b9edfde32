/**
 * The same report, computed in four places while somebody else pings: on the event loop, on the event loop behind an `await`, in
 * a thread, and in a worker process after a 202. At half of what one core can do, and at as much as goes.
 */
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, type Rounds, runRounds } from './rounds.ts';
import { ACCEPTED, AWAITED, BLOCKING, openOffice, POOLED, POOLED_ALL } from './sync-async-measure.ts';

const SIZES = {
  full: { rounds: 7, reportMs: 50, durationMs: 4_000, warmUpMs: 1_000 },
  quick: { rounds: 3, reportMs: 50, durationMs: 1_000, warmUpMs: 300 },
  tiny: { rounds: 1, reportMs: 5, durationMs: 200, warmUpMs: 50 },
};

const FIGURES = {
  pingP50Ms: 'ping p50, ms',
  pingP99Ms: 'ping p99, ms',
  pingMaxMs: 'ping max, ms',
  lateP99Ms: 'event loop late p99, ms',
  answerMs: 'until the answer, ms',
  resultMs: 'until the report, ms',
  serverBusy: 'server busy, %',
  workerBusy: 'worker busy, %',
} as const;

const MOST = {
  rate: 'reports per second',
  pingP50Ms: 'ping p50, ms',
  pingP99Ms: 'ping p99, ms',
  cpuMs: 'CPU per report, ms',
} as const;

/** Reports what somebody else notices of each way. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full' } = options;
  const { rounds: count, ...sizes } = SIZES[size];
  const { reportMs } = sizes;
  await using stack = new AsyncDisposableStack();
  const { rows, measure } = await openOffice(stack, sizes, options);

  const names = [BLOCKING, AWAITED, POOLED, ACCEPTED];
  const everyMs = 2 * reportMs;
  const steady = await runRounds(count, names, (name) => measure(name, { everyMs }), options);
  const greedy = [BLOCKING, POOLED, POOLED_ALL];
  const most = await runRounds(count, greedy, (name) => measure(name, { callers: 4 }), options);
  return {
    bench: 'sync-async',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express', 'pg'),
    rounds: count,
    noise: steady.noise,
    tables: [
      {
        title: `A report of some ${reportMs} ms (${rows.toLocaleString('en')} rows) every ${everyMs} ms, and a ping every 5 ms`,
        ...table(steady, names, FIGURES),
        note: 'A ping counts from when it was due. "Until the answer" is the report itself, or the 202; then "until the report" is by the clock of PostgreSQL. One thread, one worker.',
      },
      {
        title: 'The same reports, as many as go: 4 callers, each asks again as soon as it is answered',
        ...table(most, greedy, MOST),
        note: 'The load generator and PostgreSQL are on the same cores.',
      },
    ],
    targets: [
      target('ping p99, in a thread ÷ on the event loop', steady.ratio(POOLED, BLOCKING, 'pingP99Ms'), {
        atMost: 0.25,
      }),
      target('ping p99, 202 and a worker ÷ on the event loop', steady.ratio(ACCEPTED, BLOCKING, 'pingP99Ms'), {
        atMost: 0.25,
      }),
      target('ping p99, awaited ÷ on the event loop', steady.ratio(AWAITED, BLOCKING, 'pingP99Ms'), { atLeast: 0.75 }),
      target('until the answer, 202 ÷ in a thread', steady.ratio(ACCEPTED, POOLED, 'answerMs'), { atMost: 0.25 }),
    ],
  };
}

function table<Figure extends string>(
  rounds: Rounds<string, Figure>,
  names: readonly string[],
  figures: Partial<Record<Figure, string>>,
) {
  return {
    columns: Object.values<string | undefined>(figures) as string[],
    rows: names.map((name) => ({
      name,
      cells: (Object.keys(figures) as Figure[]).map((figure) => rounds.of(name, figure)),
    })),
  };
}

const target = (claim: string, measured: Results['targets'][number]['measured'], bound: object) => ({
  claim,
  unit: '×',
  measured,
  ...bound,
});
