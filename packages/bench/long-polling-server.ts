/**
 * The server process of the long-polling benchmark: `node long-polling-server.ts <contestant>`. It also makes the events,
 * each with the moment when it was due in its text, so that the receiver can tell the latency.
 */
import { subscribe } from 'node:diagnostics_channel';
import { createServer, type ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { listen } from '@patterns/kit/listen';
import { until } from '@patterns/kit/testing/until';
import { startNaiveServer } from '@patterns/long-polling/naive';
import { CURSOR_HEADER, encodeUpdates, type Notice, UPDATES_PATH } from '@patterns/long-polling/protocol';
import { startServer } from '@patterns/long-polling/server';
import { answer } from './processes.ts';

export type Contestant = 'textbook, looks each second' | 'bare node:http' | 'ours';

interface Contending {
  url: string;
  publish(notice: Notice): unknown;
}

const contestants: Record<Contestant, () => Promise<Contending>> = {
  async ours() {
    const feed = new MemoryFeed<Notice>();
    const { url } = await startServer({ feed });
    return { url, publish: (notice) => feed.append('messages', notice) };
  },

  async 'textbook, looks each second'() {
    const feed = new MemoryFeed<Notice>();
    const { url } = await startNaiveServer({ feed });
    return { url, publish: (notice) => feed.append('messages', notice) };
  },

  async 'bare node:http'() {
    let parked: ServerResponse[] = [];
    const server = createServer((_request, response) => void parked.push(response));
    return {
      url: (await listen(server)).url,
      publish(notice) {
        const at = Date.now();
        const id = `${at}-0`;
        const body = encodeUpdates([{ id, topic: 'messages', at, data: notice }]);
        const headers = {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'Cache-Control': 'no-store',
          [CURSOR_HEADER]: id,
        };
        for (const response of parked) response.writeHead(200, headers).end(body);
        parked = [];
      },
    };
  },
};

// Counted by Node, and so in all contestants alike.
let asked = 0;
subscribe('http.server.request.start', () => {
  asked += 1;
});
const contending = await contestants[process.argv[2] as Contestant]();
let n = 0;

async function publish(): Promise<void> {
  const due = (performance.timeOrigin + performance.now()).toFixed(3);
  await contending.publish({ type: 'message', text: `due=${due}`, n: ++n });
}

const handlers = {
  url: () => contending.url + UPDATES_PATH,

  /** Waits until so many requests have come in all. */
  async asked({ count }: { count: number }): Promise<void> {
    await until(`${count} requests`, () => asked >= count, { withinMs: 30_000 });
  },

  /** Events at random times, `leastGapMs` to `mostGapMs` apart. */
  async publishAtRandom({ count, leastGapMs, mostGapMs }: { count: number; leastGapMs: number; mostGapMs: number }) {
    for (let i = 0; i < count; i++) {
      await delay(leastGapMs + (mostGapMs - leastGapMs) * Math.random());
      await publish();
    }
  },

  /** Wakes all that are parked with one event, and waits until they are parked again; `count` times. */
  async wake({ count, parked }: { count: number; parked: number }): Promise<void> {
    for (let i = 0; i < count; i++) {
      const before = asked;
      await publish();
      await handlers.asked({ count: before + parked });
    }
  },
};
export type LongPollingServer = typeof handlers;
answer(handlers);
