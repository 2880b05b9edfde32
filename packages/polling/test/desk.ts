/** What the tests of this folder share: a server on a feed in memory, and bare requests. */
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { createLog } from '@patterns/kit/log';
import { type Change, STATUSES, UPDATES_PATH } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';

export const change = (version: number): Change => ({ status: STATUSES[version - 1] ?? 'preparing', version });

export function silentLog() {
  const log = createLog('polling-test');
  log.silent = true;
  return log;
}

/** A feed and a server on it; both end with the test. */
export async function startDesk(options: Partial<ServerOptions> & { retain?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const feed = options.feed ?? stack.use(new MemoryFeed<Change>(options.retain ? { retain: options.retain } : {}));
  const server = stack.use(await startServer({ log: silentLog(), graceMs: 1_000, intervalS: 0, ...options, feed }));
  return {
    feed,
    server,
    url: server.url,
    get: (path: string, headers: Record<string, string> = {}) => fetch(`${server.url}${path}`, { headers }),
    /** GET /api/updates with a query, and its JSON. */
    async updates(query: string) {
      const response = await fetch(`${server.url}${UPDATES_PATH}?${query}`);
      const body = (await response.json()) as Record<string, unknown> & { cursor: string; events: { id: string }[] };
      return { response, body };
    },
    /** The value of one line of /metrics. */
    async metric(name: string): Promise<number> {
      const text = await (await fetch(`${server.url}/metrics`)).text();
      const line = text.split('\n').find((candidate) => candidate.startsWith(`${name} `));
      return Number(line?.slice(name.length) ?? Number.NaN);
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
