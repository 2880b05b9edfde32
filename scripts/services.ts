/** Finds or starts what a pattern needs, for the commands that run one. */
import { styleText } from 'node:util';
import { createDatabase } from '@patterns/services/database';
import { redisKeyspace } from '@patterns/services/keyspace';
import { findPostgres } from '@patterns/services/postgres';
import { findRedis } from '@patterns/services/redis';
import type { Pattern } from './patterns.ts';

/**
 * What to add to the environment of the pattern's processes. Everything they write has a database or a key prefix of its own,
 * on whichever server it was found, and goes with the stack.
 */
export async function findServices(
  { name, needs }: Pattern,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<NodeJS.ProcessEnv> {
  const progress = (line: string) => console.log(styleText('dim', `  ${line}`));
  const env: NodeJS.ProcessEnv = {};
  const find = {
    async redis() {
      const redis = stack.use(await findRedis({ progress, signal }));
      env.REDIS_URL = redis.url;
      env.REDIS_PREFIX = stack.use(redisKeyspace(redis.url, name)).prefix;
      console.log(`  Redis       ${redis.about}`);
    },
    async postgres() {
      const postgres = stack.use(await findPostgres({ progress, signal }));
      env.DATABASE_URL = stack.use(await createDatabase(postgres.url, name)).url;
      console.log(`  PostgreSQL  ${postgres.about}`);
    },
  };
  await Promise.all(needs.map((service) => find[service]()));
  return env;
}
