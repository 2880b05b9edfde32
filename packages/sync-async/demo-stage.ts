/**
 * The demo's stage: server and worker as processes of their own, a proxy that shows what crosses the wire, and somebody else,
 * who pings past it all the while.
 */
import type { Stage } from '@patterns/kit/demo';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import pg from 'pg';
import { cancel, email } from './client.ts';
import { ask, pingUntil } from './demo-bystander.ts';
import { PING_PATH, type Report, type ReportRequest } from './protocol.ts';

/** Short, so that a dead worker is noticed soon. */
const LEASE_MS = 1_500;
/** A process starts in half a second; on a machine with much else to do it takes what it takes. */
const START_MS = 30_000;

/** What somebody else noticed of a report. */
interface Noticed {
  /** How long a ping took at worst, as a share of the time that the report takes. */
  waited: number;
  /** Until the report was there. */
  tookMs: number;
  /** The report's checksum. */
  report: string;
}

export async function openStage({ story, signal, use }: Stage, file: 'naive.ts' | 'server.ts') {
  const postgres = use(await findPostgres({ signal }));
  const { url: databaseUrl } = use(await createDatabase(postgres.url, 'sync_async_demo'));
  const db = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  db.on('error', () => {});
  use({ [Symbol.asyncDispose]: () => db.end() });
  const proxy = use(
    await startFaultProxy(
      'http://127.0.0.1:1',
      httpWire({ story, client: 'client', server: 'server', headers: ['location', 'retry-after'] }),
    ),
  );
  let direct = '';

  const start = (name: string, env: Record<string, string>, onLine?: (line: string) => void): ChildProgram =>
    use(
      startProcess(new URL(name, import.meta.url), {
        env: { DATABASE_URL: databaseUrl, WORKERS: '0', THREADS: '1', LOG_LEVEL: 'warn', ...env },
        signal,
        ...(onLine && { onLine }),
      }),
    );
  async function gauge(name: string): Promise<number> {
    const line = (await ask(`${direct}/metrics`)).split('\n').find((line) => line.startsWith(`${name} `));
    return Number(line?.slice(name.length));
  }

  async function watch(begin: () => Promise<Report>, usualMs?: number): Promise<Noticed> {
    await gauge('event_loop_utilization'); // what is read next is of the time from here
    const startedAt = performance.now();
    const wanted = begin();
    const pinging = pingUntil(wanted, () => direct + PING_PATH, signal);
    const report = await wanted;
    const tookMs = performance.now() - startedAt;
    const { worstMs, count } = await pinging;
    const lateMs = (await gauge('event_loop_delay_seconds{quantile="1"}')) * 1_000;
    story.act(
      'server',
      `somebody else pinged ${count} times meanwhile, and waited ${ms(worstMs)} at worst (event loop: ${ms(lateMs)} late)`,
    );
    return { waited: worstMs / (usualMs ?? tookMs), tookMs, report: report.checksum };
  }

  const path = ({ account, rows }: ReportRequest, how?: string) =>
    `/report?account=${account}&rows=${rows}${how ? `&how=${how}` : ''}`;
  const json = async <T>(path: string, init?: RequestInit) =>
    (await (await fetch(proxy.url + path, { signal, ...init })).json()) as T;
  const isRunning = async () =>
    (await db.query(`select from sync_async.reports where state = 'running' and leased_until > now()`)).rowCount === 1;

  return {
    gauge,
    isRunning,
    /** Starts a server, and sends the clients there. */
    async open() {
      const server = start(file, {});
      direct = await server.url(START_MS);
      proxy.target(direct);
      return server;
    },
    /** Starts a worker, whose log becomes part of the story. */
    async hire() {
      const worker = start('worker.ts', { LEASE_MS: `${LEASE_MS}`, LOG_LEVEL: 'info' }, (line) => {
        const what = /"what":"([^"]+)"/.exec(line)?.[1];
        if (what) story.act('worker', `${what}, attempt ${/"attempts":(\d+)/.exec(line)?.[1]}`);
      });
      await worker.line(/^working/, { withinMs: START_MS });
      return worker;
    },
    phone: (wanted: ReportRequest, how?: string) => watch(() => json<Report>(path(wanted, how))),
    async hangUp(wanted: ReportRequest, patienceMs: number, how?: string): Promise<void> {
      await json(path(wanted, how), { signal: AbortSignal.timeout(patienceMs) }).catch(() => {});
    },
    accept: (wanted: ReportRequest) =>
      json<{ id: string }>('/reports', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify(wanted),
      }),
    get: async (path: string) => (await fetch(proxy.url + path, { signal })).status,
    /** Many call at once, past the proxy, and hang up when it is clear who found no place. @returns how many did not. */
    async burst(wanted: ReportRequest, callers: number): Promise<number> {
      const leaving = new AbortController();
      let refused = 0;
      const calls = Array.from({ length: callers }, async () => {
        const answer = await fetch(direct + path(wanted), { signal: leaving.signal });
        if (answer.status === 503) refused++;
      });
      const admitted = async () =>
        (await gauge('pool_reports{state="running"}')) + (await gauge('pool_reports{state="queued"}'));
      await until('everybody has called', async () => refused + (await admitted()) === callers, { signal });
      leaving.abort();
      await Promise.allSettled(calls);
      story.act('server', `of ${callers} callers ${refused} were told 503 and Retry-After at once`);
      return refused;
    },
    /** By e-mail. `usualMs` is how long such a report takes by phone. @returns the milliseconds to the 202, and the rest. */
    email(wanted: ReportRequest, usualMs: number) {
      const accepted = Promise.withResolvers<number>();
      const begin = () => {
        const startedAt = performance.now();
        return email(proxy.url, wanted, { signal, onAccepted: () => accepted.resolve(performance.now() - startedAt) });
      };
      const done = watch(begin, usualMs);
      done.catch(() => {}); // who awaits it has something else to do first
      return { accepted: accepted.promise, done };
    },
    /** Asks by e-mail, and cancels when a worker has begun. @returns the error's code. */
    async cancelled(wanted: ReportRequest): Promise<string> {
      const location = Promise.withResolvers<string>();
      const ended = email(proxy.url, wanted, { signal, onAccepted: location.resolve }).then(
        () => 'done',
        (error: { code: string }) => error.code,
      );
      const at = await location.promise;
      await until('the worker has begun', isRunning, { signal });
      await cancel(at, { signal });
      return ended;
    },
    percent: ({ waited }: Noticed) => `${Math.round(Math.min(1, waited) * 100)} % of it`,
  };
}

const ms = (milliseconds: number) => `${Math.round(milliseconds)} ms`;
