/**
 * Long polling as every introduction shows it, runnable beside the sound one. (There `timeout` is a `const` that is counted
 * down, so the second look throws a TypeError; with `let` it runs.)
 *  - nobody wakes anybody: each request looks once a second, so news is half a second old on average, and waiting costs work;
 *  - there is no cursor: what comes while a client is between two polls is never told;
 *  - a client that has left is looked after until its time is over;
 *  - the client parses the 204, which has no body, takes the SyntaxError for a failure, and pauses for five seconds;
 *  - everybody holds for exactly 30 seconds, nobody counts who waits, and a restart waits for, or cuts, all of them.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import { type Notice, UPDATES_PATH, type Update } from './protocol.ts';
import { openInbox } from './sender.ts';

export interface NaiveOptions {
  feed: Feed<Notice>;
  port?: number;
  /** The textbook's `timeout`. */
  holdMs?: number;
}

export async function startNaiveServer({ feed, port, holdMs = 30_000 }: NaiveOptions): Promise<Listening> {
  const all: Update[] = [];
  const stopping = new AbortController();
  const position = await feed.position();
  feed.follow({ after: position, signal: stopping.signal }, (update) => void all.push(update)).catch(() => {});
  let checking = 0; // for the demo: the textbook does not know

  const app = express();
  app.get(UPDATES_PATH, (_req, res) => {
    const seen = all.length;
    const hasNewData = () => all.length > seen;
    const getNewData = () => all.slice(seen);
    let timeout = holdMs;
    checking++;

    const checkForUpdates = () => {
      if (hasNewData()) {
        checking--;
        res.json({ data: getNewData() });
      } else if (timeout <= 0) {
        checking--;
        res.status(204).end(); // No content
      } else {
        setTimeout(checkForUpdates, 1000);
        timeout -= 1000;
      }
    };

    checkForUpdates();
  });
  app.get('/checking', (_req, res) => void res.json(checking));

  const listening = await listen(createServer(app), { port });
  listening.closing.addEventListener('abort', () => stopping.abort());
  return listening;
}

/** The textbook client. Calls `onData` with each answer's updates; stops when `signal` aborts. */
export async function naiveLongPoll(
  url: string,
  { onData, signal }: { onData: (data: Update[]) => void; signal: AbortSignal },
): Promise<void> {
  if (signal.aborted) return;
  const longPoll = () => void naiveLongPoll(url, { onData, signal });
  try {
    const response = await fetch(new URL(UPDATES_PATH, url), { signal });
    const { data } = (await response.json()) as { data: Update[] };
    onData(data);
    // Immediately start next long poll
    longPoll();
  } catch {
    // Wait before retrying on error
    setTimeout(longPoll, 5000);
  }
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const url = process.argv[2];
    if (url) {
      const onData = (data: Update[]) => {
        for (const { at, data: notice } of data) {
          if (notice.type === 'message') console.log(`#${notice.n} ${notice.text}  ${Date.now() - at} ms`);
        }
      };
      await naiveLongPoll(url, { onData, signal });
    } else {
      const holdMs = envInteger('MAX_HOLD_MS', 30_000);
      const server = stack.use(await startNaiveServer({ feed: openInbox(stack, signal), port: envPort(), holdMs }));
      console.log(`listening on ${server.url}`);
      console.log(`in another terminal: pnpm -C packages/long-polling naive ${server.url}`);
    }
  });
}
