/** What the tests of this folder share: two servers on one Redis and one database, a user of their own, and a look at metrics and logs. */
import { randomUUID } from 'node:crypto';
import { createLog, type Log } from '@patterns/kit/log';
import { inject } from 'vitest';
import { type Client, type ClientOptions, openClient } from '../client.ts';
import { type ServerOptions, startServer } from '../server.ts';

export const SECRET = 'a secret of at least thirty-two characters';

/** A log that says nothing, and whose lines can be read. */
export function openLog(): { log: Log; lines: string[] } {
  const log = createLog('stateful-auth-test');
  for (const transport of log.transports) transport.silent = true;
  const lines: string[] = [];
  log.on('data', (info: Record<symbol, string>) => lines.push(info[Symbol.for('message')]!));
  return { log, lines };
}

/** Two servers that share everything but their process; what is given is for both. */
export async function startServers(options: Partial<ServerOptions> = {}) {
  await using opened = new AsyncDisposableStack();
  const { log, lines } = openLog();
  const user = options.demoUser ?? { name: `John ${randomUUID().slice(0, 8)}`, password: 'tomato soup for table 7' };
  const shared: ServerOptions = {
    redisUrl: inject('redisUrl'),
    redisPrefix: `${inject('redisPrefix')}${randomUUID()}:`,
    databaseUrl: inject('databaseUrl'),
    secrets: [SECRET],
    passwordCost: { memory: 16, passes: 1, parallelism: 1 }, // the real one is for users.test.ts
    log,
    graceMs: 1_000,
    ...options,
    demoUser: user,
  };
  /** One more of them, perhaps in another way. */
  const start = async (others: Partial<ServerOptions> = {}) => opened.use(await startServer({ ...shared, ...others }));
  const [a, b] = [await start(), await start()];
  const running = opened.move();
  return {
    a: a.url,
    b: b.url,
    user,
    lines,
    prefix: shared.redisPrefix!,
    async start(others: Partial<ServerOptions>): Promise<string> {
      const server = await startServer({ ...shared, ...others });
      running.use(server);
      return server.url;
    },
    /** A client that is logged in. */
    async loggedIn(url = a.url, how: ClientOptions = {}): Promise<Client> {
      const client = openClient(url, how);
      await client.login(user.name, user.password);
      return client;
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** The value of one line of /metrics. */
export async function metric(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const line = text.split('\n').find((line) => line.startsWith(`${name} `));
  return Number(line?.slice(name.length) ?? Number.NaN);
}

/** The id inside a cookie's value: `s:<id>.<signature>`. */
export function idIn(cookie: string | undefined): string {
  return decodeURIComponent(cookie ?? '')
    .slice(2)
    .split('.')[0]!;
}
