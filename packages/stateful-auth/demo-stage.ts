/**
 * The demo's stage: two servers, each a process; a Redis of their own, to be killed; a browser and an attacker; and the lines between
 * them, which show what crosses.
 */
import type { Stage } from '@patterns/kit/demo';
import type { Story } from '@patterns/kit/story';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import { startRedis } from '@patterns/services/start-redis';
import { Agent } from 'undici';
import { CookieJar, openClient } from './client.ts';
import { openPool } from './database.ts';
import { createHasher } from './password.ts';
import { Users } from './users.ts';

/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

/** The attacker has an account like everybody else. */
export const MALLORY = { name: 'Mallory', password: 'a guest like any other' };

export type ServerName = 'server A' | 'server B';
export const SERVERS: readonly ServerName[] = ['server A', 'server B'];

export type Restaurant = Awaited<ReturnType<typeof openRestaurant>>;
export type Person = Awaited<ReturnType<Restaurant['person']>>;

export async function openRestaurant({ story, signal, use }: Stage) {
  const programs = new Map<ServerName, ChildProgram>();
  const urls = new Map<ServerName, string>();
  const lines: { server: ServerName; proxy: Awaited<ReturnType<typeof startFaultProxy>> }[] = [];
  let isShown = true;
  const shortened = shortenCookies(story);
  const dispatcher = new Agent({ pipelining: 0 }); // a connection for each request: a killed server leaves none behind
  use({ [Symbol.asyncDispose]: () => dispatcher.close() });

  async function openLine(client: string, server: ServerName): Promise<string> {
    const headers = ['cookie', 'set-cookie', 'origin', 'retry-after', 'location'];
    const wire = httpWire({ story: shortened, client, server, headers, body: showBody });
    const onData: typeof wire.onData = (chunk, info) => isShown && wire.onData(chunk, info);
    const proxy = use(await startFaultProxy(urls.get(server) ?? 'http://127.0.0.1:1', { onData }));
    lines.push({ server, proxy });
    return proxy.url;
  }

  return {
    /** Starts a server in the place of the one of that name, if there is one, which is stopped when its requests are answered. */
    async serve(server: ServerName, file: string, env: Record<string, string>): Promise<void> {
      const program = use(startProcess(new URL(file, import.meta.url), { env: { LOG_LEVEL: 'info', ...env }, signal }));
      const url = await program.url(START_MS);
      urls.set(server, url);
      for (const line of lines) if (line.server === server) line.proxy.target(url);
      await programs.get(server)?.kill('SIGTERM');
      programs.set(server, program);
    },
    kill: (server: ServerName) => programs.get(server)!.kill('SIGKILL'),
    /** Everything the servers of this half have logged and printed by now. */
    log: () => [...programs.values()].map((program) => program.output()).join('\n'),

    /** Somebody with a browser, and their cookies in it. */
    async person(name: 'browser' | 'attacker') {
      const jar = new CookieJar();
      const clients = new Map<ServerName, ReturnType<typeof openClient>>();
      for (const server of SERVERS) {
        clients.set(server, openClient(await openLine(name, server), { jar, signal, dispatcher }));
      }
      return {
        jar,
        /** @returns the status, and the name that was served, if one was. */
        async ask(
          server: ServerName,
          what: string,
          { body, headers }: { body?: object; headers?: Record<string, string> } = {},
        ) {
          const [method = 'GET', path = '/'] = what.split(' ');
          const response = await clients.get(server)!.send(path, {
            method,
            headers: { ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers },
            ...(body ? { body: JSON.stringify(body) } : {}),
          });
          const text = await response.text();
          const isJson = /json/.test(response.headers.get('Content-Type') ?? '');
          const answer = (isJson ? JSON.parse(text) : {}) as { name?: string; preferences?: string[]; ended?: number };
          return { status: response.status, ...answer };
        },
      };
    },

    /** Does without the wire's lines: thirty of a kind say no more than one. */
    async unseen<T>(work: () => Promise<T>): Promise<T> {
      isShown = false;
      return await work().finally(() => {
        isShown = true;
      });
    },
  };
}

/** What the servers of the sound half stand on. The Redis writes each command to a file before it answers (`appendonly`). */
export async function openBacking({ signal, use }: Stage) {
  const postgres = use(await findPostgres({ signal }));
  const database = use(await createDatabase(postgres.url, 'stateful_auth'));
  const pool = openPool(database.url);
  const users = await Users.open(pool, createHasher());
  await users.create(MALLORY);
  await pool.end();
  const redis = use(await startRedis({ signal, persist: true }));
  return { redis, env: { REDIS_URL: redis.url, DATABASE_URL: database.url } };
}

/** Of a body what a person would say of it; never a password. */
function showBody(line: string): string | undefined {
  try {
    const { name, preferences, password, detail, ended } = JSON.parse(line);
    if (password !== undefined) return `  ${name}, and the password`;
    if (preferences) return `  ${name}: ${preferences.join(', ')}`;
    if (ended !== undefined) return `  sessions ended: ${ended}`;
    return `  ${detail ?? name ?? line}`;
  } catch {
    return /^\w[\w ]+$/.test(line) ? `  ${line}` : undefined;
  }
}

/** An id is 43 random characters and its signature as many: the first six tell one from another. */
function shortenCookies(story: Story): Story {
  const shorten = (text: string) =>
    text.replaceAll(/=s%3A([\w-]{6})[^;\s]*/g, '=$1…').replaceAll(/; (Path|Expires)=[^;]*/g, '');
  const wire: Story['wire'] = (from, to, text) => story.wire(from, to, shorten(text));
  return Object.create(story, { wire: { value: wire } });
}
