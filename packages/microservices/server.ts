/**
 * The town: all services at once, each a process with a database of its own, started together and in no order. Who is not there yet
 * is waited for by whoever needs him, which is also what happens when one of them is killed and comes back.
 *
 * `node server.ts` finds or starts Redis and PostgreSQL, starts the town, and says where its gateway is. It ends with ^C.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { envPort } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import type { Exit } from '@patterns/kit/testing/processes';
import { onFreePort } from '@patterns/services/free-port';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findPostgres } from '@patterns/services/postgres';
import { findRedis } from '@patterns/services/redis';
import { createDatabases } from './town-databases.ts';
import { sayWhatToDo } from './town-hints.ts';
import { type DatabaseOwner, type Member, planTown } from './town-plan.ts';
import { openProcesses } from './town-processes.ts';

export type Overrides = Readonly<Record<string, Readonly<Record<string, string>>>>;

export interface TownOptions {
  /** Any database of a server on which databases may be created. */
  databaseUrl: string;
  redisUrl: string;
  redisPrefix: string;
  /** Of the gateway. */
  port?: number;
  userInstances?: number;
  /** Added to the environment of each, by its name. A function is told everybody's address first, to put a proxy before it. */
  env?: Overrides | ((urlOf: (name: string) => string) => Overrides | Promise<Overrides>);
  /** Who dies is started again, unless by `kill`: what an orchestrator does. */
  restarts?: boolean;
  onLine?: (line: string, name: string, stream: 'stdout' | 'stderr') => void;
  signal?: AbortSignal;
}

export interface Town extends AsyncDisposable {
  /** The gateway's. */
  readonly url: string;
  /** Of everybody: `order`, `user-1`, `sidecar` (before payment), ... */
  readonly names: readonly string[];
  urlOf(name: string): string;
  /** Of the latest process of that name. */
  pidOf(name: string): number;
  databaseUrlOf(name: DatabaseOwner): string;
  /** Sends the signal (default SIGKILL), and resolves when the process is gone. */
  kill(name: string, signal?: NodeJS.Signals): Promise<Exit>;
  /** Starts it again, at its old address. Resolves when it is there. */
  start(name: string): Promise<void>;
}

// #region start
/** Starts everybody in parallel, and resolves when all of them are there. */
export function startTown(options: TownOptions): Promise<Town> {
  // Another program may have taken a port between its choice and its use: then all choose anew.
  return onFreePort(() => startOnce(options));
}

/**
 * As `startTown`, on a stack: whoever is told to stop while it is starting has what was begun undone with everything else.
 * @param use puts what it is given on the stack.
 */
export async function useTown(use: (town: AsyncDisposable) => void, options: TownOptions): Promise<Town> {
  const starting = startTown(options);
  use({
    async [Symbol.asyncDispose]() {
      const town = await starting.catch(() => undefined);
      await town?.[Symbol.asyncDispose]();
    },
  });
  return await starting;
}

async function startOnce({
  userInstances = 1,
  env = {},
  restarts = false,
  onLine,
  signal,
  ...options
}: TownOptions): Promise<Town> {
  await using opened = new AsyncDisposableStack();
  const directory = opened.adopt(await mkdtemp(join(tmpdir(), 'town-')), (path) =>
    rm(path, { recursive: true, force: true }),
  );
  const databases = opened.use(await createDatabases(options.databaseUrl));
  const plan = await planTown({ ...options, databases: databases.urls, directory, userInstances });
  const memberOf = (name: string): Member => {
    const found = plan.find((member) => member.name === name);
    if (!found) throw new RangeError(`there is no ${name}; there are ${plan.map((member) => member.name).join(', ')}`);
    return found;
  };
  const urlOf = (name: string) => memberOf(name).url;
  const overrides = typeof env === 'function' ? await env(urlOf) : env;
  for (const name of Object.keys(overrides)) memberOf(name);

  const processes = opened.use(openProcesses({ overrides, restarts, onLine, signal }));
  await Promise.all(plan.map((member) => processes.start(member)));
  // #endregion

  const running = opened.move();
  return {
    url: urlOf('gateway'),
    names: plan.map(({ name }) => name),
    urlOf,
    pidOf: (name) => processes.pidOf(memberOf(name).name),
    databaseUrlOf: (name) => databases.urls[name]!,
    kill: (name, by) => processes.kill(memberOf(name).name, by),
    start: (name) => processes.start(memberOf(name)),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** Ten programs are ended first, and each of them may take 8 s; then their databases go. */
const RELEASE_MS = 25_000;

if (import.meta.main) {
  await main(
    async (stack, signal) => {
      const [redis, postgres] = await Promise.all([
        findRedis({ progress: console.log, signal }).then((service) => stack.use(service)),
        findPostgres({ progress: console.log, signal }).then((service) => stack.use(service)),
      ]);
      console.log(`${redis.about}\n${postgres.about}`);
      const { prefix: redisPrefix } = stack.use(redisKeyspace(redis.url, 'microservices'));
      const onLine = (line: string, _name: string, stream: string) => {
        if (stream === 'stderr') console.error(line);
      };
      const town = await useTown((each) => stack.use(each), {
        databaseUrl: postgres.url,
        redisUrl: redis.url,
        redisPrefix,
        port: envPort(),
        userInstances: 2,
        restarts: true,
        onLine,
        signal,
      });
      sayWhatToDo(town);
    },
    { releaseMs: RELEASE_MS },
  );
}
