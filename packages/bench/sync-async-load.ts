/**
 * The load generator of the sync-async benchmark: some want reports, at a steady rate or as fast as they get them, and somebody
 * else pings every few milliseconds. What is late counts from when it was due, not from when it could be sent.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { HttpConnection } from './http-connection.ts';
import { answer } from './processes.ts';
import { percentile } from './results.ts';

export interface Load {
  url: string;
  /** Path and query of the report, by phone; or the body of one by e-mail. */
  report: { path: string } | { body: string };
  /** A report every so often; or so many callers, each of whom asks again as soon as it is answered. */
  by: { everyMs: number } | { callers: number };
  durationMs: number;
}

const PING_EVERY_MS = 5;

async function run({ url, report, by, durationMs }: Load) {
  const answersMs: number[] = [];
  let failed = 0;
  async function ask(dueAt: number): Promise<void> {
    const response = await ('path' in report
      ? fetch(url + report.path)
      : fetch(`${url}/reports`, {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: report.body,
        }));
    await response.arrayBuffer();
    if (response.ok) answersMs.push(performance.now() - dueAt);
    else failed++;
  }
  const startedAt = performance.now();
  const endsAt = startedAt + durationMs;
  const asking =
    'everyMs' in by
      ? steadily(by.everyMs, startedAt, endsAt, ask)
      : Promise.all(
          Array.from({ length: by.callers }, async () => {
            while (performance.now() < endsAt) await ask(performance.now());
          }),
        );

  const pingsMs: number[] = [];
  const idle: HttpConnection[] = [];
  const all: HttpConnection[] = [];
  const connect = () => {
    const connection = new HttpConnection(new URL(url));
    all.push(connection);
    return connection;
  };
  await steadily(PING_EVERY_MS, startedAt, endsAt, async (dueAt) => {
    const connection = idle.pop() ?? connect();
    const { status } = await connection.ask('/ping');
    idle.push(connection);
    if (status === 200) pingsMs.push(performance.now() - dueAt);
    else failed++;
  });
  await asking;
  const tookMs = performance.now() - startedAt;
  for (const connection of all) connection.destroy();
  return {
    failed,
    reports: answersMs.length,
    tookMs,
    answerMs: percentile(answersMs, 0.5),
    pingP50Ms: percentile(pingsMs, 0.5),
    pingP99Ms: percentile(pingsMs, 0.99),
    pingMaxMs: Math.max(...pingsMs),
  };
}

/** Begins `work` every so often, whether or not the one before has ended; resolves when all have. */
async function steadily(everyMs: number, startedAt: number, endsAt: number, work: (dueAt: number) => Promise<void>) {
  const begun: Promise<void>[] = [];
  for (let dueAt = startedAt; dueAt < endsAt; dueAt += everyMs) {
    const waitMs = dueAt - performance.now();
    if (waitMs > 0) await delay(waitMs);
    begun.push(work(Math.min(dueAt, performance.now()))); // a timer may be a millisecond early
  }
  await Promise.all(begun);
}

const handlers = { run };
export type ReportLoad = typeof handlers;
answer(handlers);
