/**
 * The asking half: a loop that keeps its place. The caller sees one unbroken sequence of updates.
 *
 * Empty answers (204) are the normal case and are followed by the next question at once; only an error makes it wait, longer
 * each time. It ends when `signal` aborts, and with an error when asking again cannot help (a 4xx).
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { ask, LongPollingError } from './asking.ts';
import {
  asReport,
  CURSOR_HEADER,
  decodeUpdates,
  REPORTS_PATH,
  type Report,
  UPDATES_PATH,
  type Update,
} from './protocol.ts';

export interface WaitOptions {
  signal?: AbortSignal | undefined;
  /** How long the server may hold a question. 25 s: below the 30 s after which some proxies cut. */
  waitSeconds?: number;
  /** What this client calls itself. */
  client?: string;
  /** The longest wait after an error: 30 s, so that whoever looks again does not find it asleep. */
  maxDelayMs?: number;
  /** What connection and answer may take beyond the hold; then the line counts as dead. 10 s: a slow line has three tries. */
  graceMs?: number;
}

export interface SubscribeOptions extends WaitOptions {
  /** The id of the last update already seen. Without it: what comes from now on. */
  after?: string | undefined;
  /** After news, up to so long before asking on: a thousand clients woken by one update do not come back in one instant, and
   *  what comes meanwhile shares an answer. */
  spreadMs?: number;
}

/** An empty answer that came sooner is no hold that ended: a server that stops, or another client with our name. */
const SOON_MS = 1_000;

// #region subscribe
/**
 * Yields every update after the cursor, in order, each once.
 * @throws {LongPollingError} when the server refuses for good, has not kept what comes after the cursor, or is not understood.
 */
export async function* subscribe(
  url: string,
  { after, signal, spreadMs = 50, ...options }: SubscribeOptions = {},
): AsyncGenerator<Update> {
  const { waitSeconds = 25, client = randomUUID(), maxDelayMs, graceMs } = options;
  let cursor = after;
  while (!signal?.aborted) {
    const askedAt = performance.now();
    const answer = await ask(url, UPDATES_PATH, { after: cursor, waitSeconds, client, signal, maxDelayMs, graceMs });
    if (!answer) return; // aborted
    // The body first: an answer that is cut in its middle must not move the cursor.
    const updates = answer.status === 204 ? [] : decode(answer.body, decodeUpdates);
    cursor = answer.headers.get(CURSOR_HEADER) ?? cursor;
    yield* updates;
    const isEarly = updates.length === 0 && performance.now() - askedAt < SOON_MS;
    await pause(Math.random() * (isEarly ? SOON_MS : updates.length > 0 ? spreadMs : 0), signal);
  }
}
// #endregion

/** Orders a report. @returns where it will be. */
export async function orderReport(url: string, title: string, signal?: AbortSignal): Promise<string> {
  const response = await fetch(new URL(REPORTS_PATH, url), {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ title }),
    signal: signal ?? null,
  });
  const text = await response.text();
  const location = response.headers.get('Location');
  if (response.status !== 202 || !location) throw new LongPollingError('refused', `${response.status}: ${text}`);
  return location;
}

/**
 * Waits for the report at `location`, as long as it takes; undefined when `signal` aborts.
 * @throws {LongPollingError} as `subscribe` does; a report that nobody has ordered is 'refused'.
 */
export async function waitForReport(
  url: string,
  location: string,
  { signal, waitSeconds = 25, client = randomUUID(), maxDelayMs, graceMs }: WaitOptions = {},
): Promise<Report | undefined> {
  while (!signal?.aborted) {
    const askedAt = performance.now();
    const answer = await ask(url, location, { waitSeconds, client, signal, maxDelayMs, graceMs });
    if (answer?.status === 200) return decode(answer.body, asReport);
    if (performance.now() - askedAt < SOON_MS) await pause(Math.random() * SOON_MS, signal);
  }
  return undefined;
}

function decode<T>(body: string, read: (value: unknown) => T): T {
  try {
    return read(JSON.parse(body));
  } catch (error) {
    throw new LongPollingError('malformed-answer', `not understood: ${body.slice(0, 80)}`, { cause: error });
  }
}

async function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  if (milliseconds > 0) await delay(milliseconds, undefined, signal && { signal }).catch(() => {});
}

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, ...args] = process.argv.slice(2);
    const options = {
      signal,
      waitSeconds: envInteger('WAIT_SECONDS', 25, { min: 1 }),
      client: process.env.CLIENT || randomUUID(),
    };
    if (!url)
      return console.log(
        'usage: node client.ts <url of a server> [cursor | report <title>]   (start one with: node server.ts)',
      );
    if (args[0] === 'report') {
      const location = await orderReport(url, args[1] ?? 'Q3', signal);
      console.log(`ordered: ${location}`);
      const report = await waitForReport(url, location, options);
      if (report) console.log(`ready: ${report.title}, ${report.pages} pages`);
      return;
    }
    for await (const { id, at, data } of subscribe(url, { ...options, after: args[0] })) {
      const text = data.type === 'message' ? `#${data.n} ${data.text}` : `${data.type}: ${data.title}`;
      console.log(`${text}  ${Date.now() - at} ms  id ${id}`);
    }
  });
}
