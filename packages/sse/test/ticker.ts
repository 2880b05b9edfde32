/** What the tests of this folder share: a server on a feed in memory, and a reader that shows a stream as it is on the wire. */
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { createLog } from '@patterns/kit/log';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { PATH, type Quote } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';

export const price = (n: number): Quote => ({ type: 'price', price: 100, n });

/** A feed and a server on it; both end with the test. */
export async function startTicker(options: Partial<ServerOptions> & { retain?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const log = createLog('sse-test');
  log.silent = true;
  const feed = options.feed ?? stack.use(new MemoryFeed<Quote>(options.retain ? { retain: options.retain } : {}));
  const server = stack.use(await startServer({ log, graceMs: 1_000, ...options, feed }));
  return {
    feed,
    server,
    url: server.url,
    /** The value of one line of /metrics. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      return Number(
        text
          .split('\n')
          .find((line) => line.startsWith(`${name} `))
          ?.slice(name.length) ?? Number.NaN,
      );
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** Opens a stream without any client code of ours: its blocks (`retry: …`, `id: …\nevent: …`, `:`) as they come. */
export async function openStream(
  url: string,
  { query = '', headers = {} }: { query?: string; headers?: Record<string, string> } = {},
) {
  const leave = new AbortController();
  const response = await fetch(`${url}${PATH}${query}`, { headers, signal: leave.signal });
  const blocks = EventQueue.from(() => readBlocks(response.body!));
  return {
    response,
    blocks,
    async [Symbol.asyncDispose]() {
      leave.abort();
      await blocks[Symbol.asyncDispose]();
    },
  };
}

async function* readBlocks(body: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let buffered = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    buffered += text;
    for (let end = buffered.indexOf('\n\n'); end !== -1; end = buffered.indexOf('\n\n')) {
      yield buffered.slice(0, end);
      buffered = buffered.slice(end + 2);
    }
  }
}
