/**
 * Makes the reports that were ordered, in a process of its own. No server waits for it: it appends to the feed that a report is
 * ready, and whoever serves the client sees that. A worker that starts anew makes what the last one left undone. Two
 * workers would both make it: to share work takes a queue.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { Feed } from '@patterns/feed/feed';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { Notice, Update } from './protocol.ts';
import { openFeed } from './sender.ts';

/** Makes each report in `makingMs`, until `signal` aborts. */
export async function makeReports(
  feed: Feed<Notice>,
  { makingMs, signal }: { makingMs: number; signal: AbortSignal },
): Promise<void> {
  async function make({ topic: id, data }: Update): Promise<void> {
    if (data.type !== 'report-ordered') return;
    await delay(makingMs, undefined, { signal });
    await feed.append(id, { type: 'report-ready', title: data.title, pages: data.title.length });
  }
  const failed = (error: unknown) => signal.aborted || console.error('a report was not made:', error);

  const position = await feed.position();
  const past = await feed.read({ limit: Number.POSITIVE_INFINITY });
  const ready = new Set(past.filter(({ data }) => data.type === 'report-ready').map(({ topic }) => topic));
  for (const update of past) if (!ready.has(update.topic)) make(update).catch(failed);
  await feed.follow({ after: past.at(-1)?.id ?? position, signal }, (update) => void make(update).catch(failed));
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    await makeReports(openFeed(stack), { makingMs: envInteger('MAKING_MS', 2_000, { min: 1 }), signal });
  });
}
