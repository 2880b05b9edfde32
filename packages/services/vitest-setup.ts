/**
 * Vitest's global setup: finds Redis and PostgreSQL once for a whole run, and gives each package a database and a key
 * prefix of its own. Tests `inject('databaseUrl')`, `inject('redisUrl')`, `inject('redisPrefix')`.
 *
 * Only what the selected packages use is started. Without Redis the run goes on, and the suites that ask for it
 * (`requireRedis`, testing.ts) are reported as skipped; with REQUIRE_EXTRAS=1 the run fails instead.
 */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { createDatabase } from './database.ts';
import { redisKeyspace } from './keyspace.ts';
import { findPostgres } from './postgres.ts';
import { findRedis } from './redis.ts';
import { type FindOptions, type Service, ServiceError } from './service.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** An empty database of this package's own; '' when there is no PostgreSQL. */
    databaseUrl: string;
    /** '' when there is no Redis. */
    redisUrl: string;
    /** Put before every key: what is under it is removed at the end of the run. '' when there is no Redis. */
    redisPrefix: string;
    /** Why something cannot be had, by its name; what can be had is not in it. */
    missing: { redis?: string; postgres?: string };
  }
}

type Need = 'redis' | 'postgres';

export default async function setup(root: TestProject): Promise<() => Promise<void>> {
  await using owned = new AsyncDisposableStack();
  const projects = root.vitest.projects.map((project) => ({ project, needs: needsOf(project.config.root) }));
  const say = (line: string): void => root.vitest.logger.log(line);

  const missing: { redis?: string; postgres?: string } = {};
  const find = async (need: Need, finder: (options: FindOptions) => Promise<Service>): Promise<string> => {
    if (!projects.some(({ needs }) => needs.has(need))) return '';
    try {
      const service = owned.use(await finder({ progress: say }));
      say(service.about);
      return service.url;
    } catch (error) {
      if (process.env.REQUIRE_EXTRAS === '1' || !cannotBeHad(error)) throw error;
      missing[need] = error.message;
      say(`tests that need ${need} are skipped: ${error.message}`);
      return '';
    }
  };
  // Both are awaited whatever becomes of one, so that nothing starts after the clean-up.
  const found = await Promise.allSettled([find('redis', findRedis), find('postgres', findPostgres)]);
  const [redisUrl = '', serverUrl = ''] = found.map((each) => {
    if (each.status === 'rejected') throw each.reason;
    return each.value;
  });

  for (const { project, needs } of projects) {
    project.provide('missing', missing);
    project.provide('redisUrl', redisUrl);
    const keyspace = redisUrl && needs.has('redis') && owned.use(redisKeyspace(redisUrl, project.name));
    project.provide('redisPrefix', keyspace ? keyspace.prefix : '');
    const database = serverUrl && needs.has('postgres') && owned.use(await createDatabase(serverUrl, project.name));
    project.provide('databaseUrl', database ? database.url : '');
  }
  const untilTeardown = owned.move();
  disposeOnSignal(untilTeardown);
  return () => untilTeardown.disposeAsync();
}

/** Vitest answers ^C by leaving at once, without a teardown: on a server that was there before us, our data would stay. */
function disposeOnSignal(stack: AsyncDisposableStack): void {
  const dispose = (signal: 'SIGINT' | 'SIGTERM') => {
    // ^C comes from the terminal, and again, as SIGTERM, from whoever started us: once is enough.
    if (!stack.disposed) void stack.disposeAsync().finally(() => process.exit(128 + constants.signals[signal]));
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeAllListeners(signal).on(signal, dispose);
}

/** Not so a server that the environment names and that does not answer: that is a mistake, not a lack. */
function cannotBeHad(error: unknown): error is ServiceError {
  return error instanceof ServiceError && (error.code === 'not-installed' || error.code === 'install-failed');
}

/** What a package says that it needs, and what it has a client for. */
function needsOf(packageRoot: string): Set<Need> {
  const { pattern, dependencies = {} } = JSON.parse(readFileSync(join(packageRoot, 'package.json'), 'utf8')) as {
    pattern?: { needs?: Need[] };
    dependencies?: Record<string, string>;
  };
  const needs = new Set(pattern?.needs);
  if ('ioredis' in dependencies) needs.add('redis');
  if ('pg' in dependencies) needs.add('postgres');
  return needs;
}
