/**
 * Polling as every introduction shows it, runnable beside the sound one. It works, as long as the server is fast:
 *  - `setInterval` asks whether or not the last question was answered: when the server is slow, questions pile up on it;
 *  - answers that overtake each other are shown as they come, so an older state replaces a newer one;
 *  - no cursor and no ETag: every answer is everything, changed or not, and the server reads all of it each time;
 *  - every client asks at the same pace, in step with all that began with it, for ever, in trouble and out of it;
 *  - no deadline: a question that is never answered is kept for ever. And `response.json()` of an error page is a surprise.
 */
import { createServer } from 'node:http';
import type { Feed } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import { type Change, type Order, UPDATES_PATH } from './protocol.ts';
import { openShop } from './shop.ts';

export async function startNaiveServer({ feed, port }: { feed: Feed<Change>; port?: number }) {
  const app = express();
  app.get(UPDATES_PATH, async (_req, res) => {
    const orders = new Map<string, Order>();
    for (const { topic, at, data } of await feed.read({ limit: Infinity }))
      orders.set(topic, { id: topic, ...data, at });
    res.json({ hasNew: orders.size > 0, data: [...orders.values()] });
  });
  return listen(createServer(app), { port });
}

/** The textbook client. */
export function startPolling(url: string, everyMs: number, show: (orders: Order[]) => void) {
  // oxlint-disable-next-line typescript/no-misused-promises -- the fault itself: nobody waits for the answer
  return setInterval(async () => {
    try {
      const response = await fetch(new URL(UPDATES_PATH, url));
      const updates = (await response.json()) as { hasNew: boolean; data: Order[] };

      if (updates.hasNew) {
        show(updates.data);
      }
    } catch (error) {
      console.error('Polling failed:', error);
    }
  }, everyMs);
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const url = process.argv[2];
    if (url) {
      const shown = new Map<string, number>();
      const timer = startPolling(url, envInteger('EVERY_MS', 5_000, { min: 1 }), (orders) => {
        for (const { id, version, status, at } of orders) {
          if (shown.get(id) !== version)
            console.log(`order ${id}  version ${version}  ${status}  ${Date.now() - at} ms`);
          shown.set(id, version);
        }
      });
      stack.defer(() => clearInterval(timer));
    } else {
      const server = stack.use(await startNaiveServer({ feed: openShop(stack, signal), port: envPort() }));
      console.log(`listening on ${server.url}`);
      console.log(`in another terminal: pnpm -C packages/polling naive ${server.url}`);
    }
  });
}
