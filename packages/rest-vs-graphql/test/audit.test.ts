/**
 * GraphQL over HTTP by its specification: the audits that come with graphql-http, each a test, over a real socket. They ask for
 * `__type`, so the server is one for development (`introspection`).
 */
import { requirePostgres } from '@patterns/services/testing';
import { serverAudits } from 'graphql-http';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startServer } from './graphql-blog.ts';

requirePostgres()('GraphQL over HTTP', () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  beforeAll(async () => {
    server = await startServer({ introspection: true });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const audits = serverAudits({ url: () => server.url, fetchFn: fetch });

  test('there are audits', () => expect(audits.length).toBeGreaterThan(60));

  for (const audit of audits) {
    test(`${audit.id} ${audit.name}`, async () => {
      const result = await audit.fn();
      expect(result).toMatchObject({ status: 'ok' });
    });
  }
});
