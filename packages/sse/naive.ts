/**
 * The ticker as every introduction shows it, runnable beside the sound one. It works, until the line drops:
 *  - events have no id, so a client that comes back cannot say what it has missed, and the server keeps nothing to resend;
 *  - the answer has no headers until the first event: until then a client does not know whether it is connected;
 *  - a silent line is never noticed: no heartbeat here, no limit on silence there;
 *  - `write` is not asked whether the client keeps up, and every client has the event encoded anew;
 *  - on SIGTERM the process waits for its open streams, that is for ever: it has to be killed.
 */
import { createServer } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { type Feed, NOW } from '@patterns/feed/feed';
import { envPort } from '@patterns/kit/env';
import { listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import { openTicker } from './exchange.ts';
import { PATH, type Quote } from './protocol.ts';

export async function startNaiveServer({ feed, port }: { feed: Feed<Quote>; port?: number }) {
  const app = express();
  app.get(PATH, (req, res) => {
    res.setHeader('Content-Type', 'text/event-stream');
    res.setHeader('Cache-Control', 'no-cache');
    res.setHeader('Connection', 'keep-alive');
    const left = new AbortController();
    req.on('close', () => left.abort());
    return feed.follow({ after: NOW, signal: left.signal }, (event) => {
      res.write(`data: ${JSON.stringify({ symbol: event.topic, at: event.at, ...event.data })}\n\n`);
    });
  });
  return listen(createServer(app), { port });
}

type NaiveQuote = Quote & { symbol: string; at: number };

/** The textbook client: on any trouble it connects again, and goes on with whatever comes next. */
export async function* naiveSubscribe(url: string, signal: AbortSignal): AsyncGenerator<NaiveQuote> {
  while (!signal.aborted) {
    try {
      const response = await fetch(new URL(PATH, url), { signal });
      for await (const text of response.body!.pipeThrough(new TextDecoderStream())) {
        for (const line of text.split('\n')) {
          if (line.startsWith('data: ')) yield JSON.parse(line.slice('data: '.length));
        }
      }
    } catch {
      // Whatever it was, try again.
    }
    await delay(1_000, undefined, { signal }).catch(() => {});
  }
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const url = process.argv[2];
    if (url) {
      for await (const quote of naiveSubscribe(url, signal)) {
        if (quote.type === 'closed') return console.log('the market is closed');
        console.log(`#${quote.n} ${quote.symbol} ${quote.price.toFixed(2)}  ${Date.now() - quote.at} ms`);
      }
    } else {
      const server = stack.use(await startNaiveServer({ feed: openTicker(stack, signal), port: envPort() }));
      console.log(`listening on ${server.url}`);
      console.log(`in another terminal: pnpm -C packages/sse naive ${server.url}`);
    }
  });
}
