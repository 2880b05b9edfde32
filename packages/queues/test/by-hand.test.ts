/** The programs as somebody starts them in three terminals. */
import { randomUUID } from 'node:crypto';
import { startProcess } from '@patterns/kit/testing/processes';
import { createDatabase } from '@patterns/services/database';
import { requireRedis } from '@patterns/services/testing';
import { expect, inject, test } from 'vitest';

const program = (file: string) => new URL(`../${file}`, import.meta.url);

/** Processes take seconds to start on a machine that has much to do. */
const PATIENCE_MS = 40_000;

requireRedis()('by hand', () => {
  test(
    'server, worker and client find each other; SIGTERM lets a worker finish what it has in hand',
    async () => {
      await using database = await createDatabase(inject('databaseUrl'), 'by_hand');
      const env = {
        DATABASE_URL: database.url,
        REDIS_URL: inject('redisUrl'),
        REDIS_PREFIX: inject('redisPrefix'),
        QUEUE_PREFIX: `${randomUUID()}-`,
        GATEWAY_MS: '1500',
        LOG_LEVEL: 'debug',
      };
      await using server = startProcess(program('server.ts'), { env });
      const url = await server.url(PATIENCE_MS);
      expect(await server.line(/in another terminal: /)).toContain('pnpm -C packages/queues worker --broker redis');
      const isTaken = Promise.withResolvers<void>();
      await using worker = startProcess(program('worker.ts'), {
        env,
        onLine: (line) => /"kind":"notify".*"message":"taken"/.test(line) && isTaken.resolve(),
      });
      await using client = startProcess(program('client.ts'), { args: [url] });
      await isTaken.promise;
      expect(await worker.kill('SIGTERM')).toEqual({ code: 0, signal: null });
      expect(worker.output()).toMatch(/"attempt":1,.*"message":"done"/);
      // Whether the code was judged before the worker stopped, chance decides: another one does what is left.
      await using _next = startProcess(program('worker.ts'), { env });
      await client.line(/^told by a message/, { withinMs: PATIENCE_MS });
      expect(await client.exited).toEqual({ code: 0, signal: null });
      expect(client.output()).toContain('finished: 6765');
    },
    3 * PATIENCE_MS,
  );

  test(
    'a worker that is not told where its database is says what to do, and one of an unknown broker as well',
    async () => {
      await using lost = startProcess(program('worker.ts'), { env: { DATABASE_URL: undefined } });
      await using mistyped = startProcess(program('worker.ts'), {
        args: ['--broker', 'rabitmq'],
        env: { DATABASE_URL: inject('databaseUrl') },
      });
      expect((await lost.exited).code).toBe(1);
      expect(lost.output()).toMatch(/^DATABASE_URL is not set: start `node server.ts` first/);
      expect((await mistyped.exited).code).toBe(1);
      expect(mistyped.output()).toMatch(/^there is no broker "rabitmq": did you mean rabbitmq\?/);
    },
    PATIENCE_MS,
  );
});
