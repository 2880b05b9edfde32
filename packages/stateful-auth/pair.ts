/**
 * Two servers by hand, as processes of their own, on one Redis, one database and one secret: `pnpm -C packages/stateful-auth pair`.
 * Ends with ^C.
 */
import { randomBytes } from 'node:crypto';
import { envPort } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { startProcess } from '@patterns/kit/testing/processes';
import { findPostgres } from '@patterns/services/postgres';
import { findRedis } from '@patterns/services/redis';
import { DEMO_USER, PATHS } from './protocol.ts';

if (import.meta.main) {
  await main(async (stack, signal) => {
    const redis = stack.use(await findRedis({ progress: console.log, signal }));
    const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
    const port = envPort();
    const start = (index: number) => {
      const env = {
        REDIS_URL: redis.url,
        DATABASE_URL: postgres.url,
        SESSION_SECRETS: secret,
        PORT: port === 0 ? '0' : String(port + index),
      };
      return stack.use(startProcess(new URL('server.ts', import.meta.url), { env, onLine }));
    };
    const secret = process.env.SESSION_SECRETS ?? randomBytes(32).toString('base64url');
    const onLine = (line: string, stream: string) => void (stream === 'stderr' && console.error(line));
    const [a, b] = [start(0), start(1)];
    console.log(`server A is listening on ${await a.url()}`);
    console.log(`server B is listening on ${await b.url()}`);
    console.log(`log in at one, and ask the other: ${PATHS.profile} knows ${DEMO_USER.name}, ${DEMO_USER.password}`);
    await Promise.race([a.exited, b.exited]);
  });
}
