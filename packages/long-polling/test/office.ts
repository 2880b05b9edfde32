/** What the tests of this folder share: a server on a feed in memory, and questions asked without any client code of ours. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { createLog } from '@patterns/kit/log';
import { until } from '@patterns/kit/testing/until';
import type { Notice, Update } from '../protocol.ts';
import { type ServerOptions, startServer } from '../server.ts';

export const message = (n: number): Notice => ({ type: 'message', text: `message ${n}`, n });

/** A feed and a server on it; both end with the test. */
export async function startOffice(options: Partial<ServerOptions> & { retain?: number } = {}) {
  const stack = new AsyncDisposableStack();
  const feed = options.feed ?? stack.use(new MemoryFeed<Notice>(options.retain ? { retain: options.retain } : {}));
  const server = stack.use(await startServer({ log: silent(), graceMs: 1_000, ...options, feed }));
  return {
    feed,
    server,
    url: server.url,
    send: (n: number) => feed.append('messages', message(n)),
    metric: (name: string) => metricOf(server.url, name),
    parked: (count: number) => parked(server.url, count),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

export function silent() {
  const log = createLog('long-polling-test');
  log.silent = true;
  return log;
}

/** The value of one line of /metrics. */
export async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? Number.NaN);
}

/** Resolves when so many requests are parked. */
export async function parked(url: string, count: number): Promise<void> {
  await until(`${count} parked`, async () => (await metricOf(url, 'long_polling_parked')) === count);
}

export interface Got {
  status: number;
  headers: IncomingMessage['headers'];
  body: string;
  /** The numbers of the messages in the answer. */
  numbers: number[];
}

/** One question on a connection of its own, that can be hung up on. */
export function ask(url: string, path: string, { method = 'GET' } = {}) {
  const request = httpRequest(new URL(path, url), { agent: false, method }).end();
  const answered = answerTo(request);
  answered.catch(() => {}); // who hangs up does not want to know
  return { answered, hangUp: () => void request.destroy() };
}

async function answerTo(request: ReturnType<typeof httpRequest>): Promise<Got> {
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const body = (await response.setEncoding('utf8').toArray()).join('');
  const updates = response.statusCode === 200 ? ((JSON.parse(body).updates ?? []) as Update[]) : [];
  const numbers = updates.flatMap(({ data }) => (data.type === 'message' ? [data.n] : []));
  return { status: response.statusCode!, headers: response.headers, body, numbers };
}
