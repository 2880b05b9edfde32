/**
 * What it costs to know who asks, when it is remembered: in this process, in Redis, or not at all, beside a token that says it; and
 * what a login costs, whose password takes as much memory and time as it is meant to.
 */
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { startRedis } from '@patterns/services/start-redis';
import { DEMO_USER } from '@patterns/stateful-auth/protocol';
import { PROFILE_PATH } from '@patterns/stateless-auth/protocol';
import { Redis } from 'ioredis';
import { startChild } from './processes.ts';
import { describeMachine, type Results, versionsOf } from './results.ts';
import { type BenchOptions, runRounds } from './rounds.ts';
import type { Logins } from './stateful-auth-logins.ts';
import type { Contestant, SessionServer } from './stateful-auth-server.ts';
import {
  type Asked,
  httpFigures,
  measureHttp,
  openTokenServers,
  startLoad,
  tableOf,
} from './stateless-auth-measure.ts';

const SIZES = {
  full: { rounds: 5, connections: 50, durationMs: 2_500, warmUpMs: 500 },
  quick: { rounds: 3, connections: 50, durationMs: 700, warmUpMs: 200 },
  tiny: { rounds: 1, connections: 5, durationMs: 50, warmUpMs: 10 },
};

const IN_MEMORY = 'a session in memory';
const OUR_STORE = 'a session in Redis, our store';
const SESSIONS: readonly Contestant[] = [IN_MEMORY, OUR_STORE, 'a session in Redis, our server'];
/** What remembers nothing, by the names that it has here, and in the benchmark of tokens. */
const TOKENS = {
  'nobody is asked who': 'no check',
  'a token, seen before': 'ours, ES256, cached',
  'a token, its signature verified': 'ours, ES256, no cache',
} as const;

const FIGURES = {
  ...httpFigures,
  commands: 'Redis commands per request',
  redisMicros: 'Redis CPU per request, µs',
};
const LOGIN_FIGURES = {
  rate: 'logins per second',
  p50Ms: 'p50, ms',
  cpuMs: 'CPU per login, ms',
  memoryMb: 'memory beside, MB',
};

/** Reports what remembering costs, and where. */
export async function run(options: BenchOptions = {}): Promise<Results> {
  const { size = 'full', say, signal } = options;
  const { rounds: count, ...load } = SIZES[size];
  await using stack = new AsyncDisposableStack();
  const redis = stack.use(await startRedis(signal && { signal }));
  const postgres = stack.use(await findPostgres({ ...(say && { progress: say }), ...(signal && { signal }) }));
  const { url: databaseUrl } = stack.use(await createDatabase(postgres.url, 'bench'));
  const control = stack.adopt(new Redis(redis.url), (connection) => connection.disconnect());

  // All run at the same time, and those that are not asked do nothing.
  const servers = new Map<string, Asked>();
  const tokenServers = await openTokenServers(stack, Object.values(TOKENS));
  for (const [name, known] of Object.entries(TOKENS)) servers.set(name, tokenServers.get(known)!);
  for (const name of SESSIONS) {
    const file = new URL('stateful-auth-server.ts', import.meta.url);
    const env = { REDIS_URL: redis.url, DATABASE_URL: databaseUrl };
    const server = stack.use(startChild<SessionServer>(file, { args: [name], env }));
    const url = await server.ask('url', undefined);
    const usage = () => server.ask('usage', { collect: false });
    servers.set(name, { url: url + PROFILE_PATH, headers: { Cookie: await logIn(url) }, usage });
  }
  const loadGenerator = startLoad(stack);

  const names = [...servers.keys()];
  const asked = await runRounds(count, names, measure, options);
  const crowds = (size === 'tiny' ? [1] : [1, 2, 4]).map((concurrent) => `${concurrent} at a time`);
  const logins = await runRounds(count, crowds, measureLogins, options);
  return {
    bench: 'stateful-auth',
    at: new Date().toISOString(),
    shortened: size !== 'full',
    machine: describeMachine(),
    versions: versionsOf('express', 'express-session', 'ioredis', 'jsonwebtoken'),
    rounds: count,
    noise: asked.noise,
    tables: [
      {
        title: `GET /profile, ${load.connections} connections kept open, one user`,
        ...tableOf(asked, names, FIGURES),
        note: 'Each connection asks again as soon as it has its answer, so that the latency follows from the rate. Redis and PostgreSQL are on the same cores. Our server, beside its session, reads the user from PostgreSQL for each request; the second row does not. A request takes two round trips to Redis; the commands are more, since those of the scripts count. Logs are off.',
      },
      {
        title: 'Verifying passwords: argon2id, 19 MiB, two passes, one lane',
        ...tableOf(logins, crowds, LOGIN_FIGURES),
        note: 'Each one takes the memory and the time that it takes somebody who guesses. The server does two at a time, lets few more wait, and answers 503 beyond. The memory is the most that the process ever had beside what it had before: malloc keeps what a thread has had, and one after the other they come to all four threads.',
      },
    ],
    targets: [
      {
        claim: 'server CPU per request, our store ÷ in memory',
        unit: '×',
        measured: asked.ratio(OUR_STORE, IN_MEMORY, 'cpuMicros'),
        atMost: 2,
      },
    ],
  };

  async function measure(name: string) {
    const { beside, ...figures } = await measureHttp(loadGenerator, servers.get(name)!, load, redisUsage);
    return { ...figures, commands: beside('commands'), redisMicros: beside('micros') };
  }

  async function redisUsage() {
    const info = await control.info('cpu', 'commandstats');
    const read = (name: string) => Number(new RegExp(`^${name}:(.+)`, 'm').exec(info)?.[1]);
    const seconds = read('used_cpu_user') + read('used_cpu_sys');
    // All but our own question, and what connections ask for their own sake.
    const calls = [...info.matchAll(/^cmdstat_(?!info|ping|client|hello|auth|select)[^:]+:calls=(\d+)/gm)];
    return { commands: calls.reduce((sum, [, count]) => sum + Number(count), 0), micros: seconds * 1e6 };
  }

  async function measureLogins(name: string) {
    await using process = startChild<Logins>(new URL('stateful-auth-logins.ts', import.meta.url));
    return await process.ask('run', { concurrent: Number.parseInt(name, 10), durationMs: load.durationMs });
  }
}

async function logIn(url: string): Promise<string> {
  const headers = { 'Content-Type': 'application/json' };
  const response = await fetch(`${url}/login`, { method: 'POST', headers, body: JSON.stringify(DEMO_USER) });
  const [cookie] = response.headers.getSetCookie();
  if (!response.ok || !cookie) throw new Error(`no session: ${response.status} ${await response.text()}`);
  return cookie.split(';', 1)[0]!;
}
