/**
 * A customer who wants a report: by phone, waiting on the line, or by e-mail, doing something else until it is there.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import {
  parseReport,
  parseStatus,
  REPORT_PATH,
  REPORTS_PATH,
  type Report,
  type ReportRequest,
  retryAfterMs,
  type Status,
} from './protocol.ts';

export class ReportError extends Error {
  override readonly name = 'ReportError';
  /** `timeout`: not in time · `refused`: answered, with an error, or by nobody · `failed`: it will never be · `gone`: cancelled */
  readonly code: 'timeout' | 'refused' | 'failed' | 'gone';

  constructor(code: ReportError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export interface AskOptions {
  signal?: AbortSignal | undefined;
  /** How long to wait for the report in all. It ends the waiting; whether it ends the work is for the server to see to. */
  deadlineMs?: number | undefined;
}

/** Waits on the line. Tries once: whoever is told "busy" may call again. @throws {ReportError} */
export async function phone(url: string, { account, rows }: ReportRequest, options: AskOptions = {}): Promise<Report> {
  const { body } = await ask(`${url}${REPORT_PATH}?account=${account}&rows=${rows}`, {}, ending(options), 1);
  return parseReport(body);
}

export interface EmailOptions extends AskOptions {
  /** Makes it safe to send again. Whoever wants to survive a crash of its own stores it, before it sends. */
  key?: string;
  /** Where the report can be had, from now on, by anybody who knows this. */
  onAccepted?: (location: string) => void;
  onStatus?: (status: Status) => void;
}

// #region e-mail
/** Asks for a report, does something else, and comes back for it. @throws {ReportError} */
export async function email(url: string, request: ReportRequest, options: EmailOptions = {}): Promise<Report> {
  const { key = randomUUID(), onAccepted } = options;
  const signal = ending(options);
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': `"${key}"` };
  const post = { method: 'POST', headers, body: JSON.stringify(request) };
  const accepted = await ask(url + REPORTS_PATH, post, signal);
  const location = new URL(accepted.headers.get('Location') ?? '', url).href;
  onAccepted?.(location);
  await delay(accepted.retryAfterMs, undefined, { signal }).catch(() => {});
  return collect(location, { ...options, signal });
}

/** Comes back for a report until it is there: also hours later, or from another process. @throws {ReportError} */
export async function collect(location: string, { onStatus, ...options }: EmailOptions = {}): Promise<Report> {
  const signal = ending(options);
  for (;;) {
    const answer = await ask(location, {}, signal);
    if (answer.status === 303) {
      const result = await ask(new URL(answer.headers.get('Location') ?? '', location).href, {}, signal);
      return parseReport(result.body);
    }
    onStatus?.(parseStatus(answer.body));
    await delay(answer.retryAfterMs, undefined, { signal }).catch(() => {});
  }
}
// #endregion

/** Does not want it any more. @throws {ReportError} when it is finished. */
export async function cancel(location: string, options: AskOptions = {}): Promise<void> {
  await ask(location, { method: 'DELETE' }, ending(options));
}

const ending = ({ signal, deadlineMs = 60_000 }: AskOptions) =>
  AbortSignal.any([AbortSignal.timeout(deadlineMs), ...(signal ? [signal] : [])]);

/** Half to one and a half times this, so that those who lost the same server do not come back in the same instant. */
const RETRY_MS = 500;

/** A request that may be repeated: it is, until it is answered, when nobody is there, or all are busy. */
async function ask(url: string, init: RequestInit, signal: AbortSignal, maxAttempts = Number.POSITIVE_INFINITY) {
  for (let attempt = 1; ; attempt++) {
    const outcome = await send(url, init, signal);
    if (!(outcome instanceof ReportError) && outcome.status < 400) return outcome;
    const [error, pauseMs] =
      outcome instanceof ReportError ? [outcome, RETRY_MS] : [refusal(url, outcome), outcome.retryAfterMs];
    const isPassing = outcome instanceof ReportError || outcome.status === 429 || outcome.status === 503;
    if (!isPassing || attempt >= maxAttempts || signal.aborted) throw error;
    await delay(pauseMs * (0.5 + Math.random()), undefined, { signal }).catch(() => {});
  }
}

async function send(url: string, init: RequestInit, signal: AbortSignal) {
  try {
    const response = await fetch(url, { ...init, redirect: 'manual', signal });
    const { status, headers } = response;
    const text = await response.text();
    const body = /\bjson\b/.test(headers.get('Content-Type') ?? '') ? (JSON.parse(text) as unknown) : text;
    return { status, headers, body, retryAfterMs: retryAfterMs(headers.get('Retry-After')) };
  } catch (cause) {
    if (!signal.aborted) return new ReportError('refused', `${url} cannot be reached, or hung up`, { cause });
    return new ReportError('timeout', `given up: no report from ${url}`, { cause });
  }
}

function refusal(url: string, { status, body }: { status: number; body: unknown }): ReportError {
  const { detail = '' } = (body ?? {}) as { detail?: string };
  const code = status === 410 ? 'gone' : status === 500 ? 'failed' : 'refused';
  return new ReportError(code, `${status} from ${new URL(url).pathname}: ${detail}`);
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, how = 'phone', account = '7', rows = '2000000'] = process.argv.slice(2);
    if (!url) return console.log('usage: node client.ts <url of a server> [phone | e-mail] [account] [rows]');
    const wanted = { account: Number(account), rows: Number(rows) };
    const options = { signal, deadlineMs: envInteger('DEADLINE_MS', 60_000) };
    const startedAt = performance.now();
    const tell = (text: string) => console.log(`${text}, ${Math.round(performance.now() - startedAt)} ms`);
    try {
      const report = await (how === 'phone'
        ? phone(url, wanted, options)
        : email(url, wanted, {
            ...options,
            onAccepted: (location) => tell(`accepted: ${location}`),
            onStatus: ({ state }) => tell(`it is ${state}`),
          }));
      tell(`the report: checksum ${report.checksum}`);
    } catch (error) {
      if (!(error instanceof ReportError)) throw error;
      tell(`failed: ${error.code}: ${error.message}`);
      process.exitCode = 1;
    }
  });
}
