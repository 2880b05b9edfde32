/** What the demo does not show of the naive server: exact counts, and what else it lets through. */
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, inject, test } from 'vitest';
import { graphqlScreen } from '../client.ts';
import { askRaw } from '../demo-stage.ts';
import { openHttpClient } from '../http-client.ts';
import { startNaiveServer } from '../naive.ts';
import { createBlog } from '../tables.ts';

requirePostgres()('the naive server', () => {
  const stack = new AsyncDisposableStack();
  let databaseUrl: string;
  let url: string;

  beforeAll(async () => {
    databaseUrl = stack.use(await createDatabase(inject('databaseUrl'), 'naive')).url;
    await createBlog(databaseUrl);
    url = stack.use(await startNaiveServer({ databaseUrl })).url;
  });
  afterAll(() => stack.disposeAsync());

  test('asks the database once for each field of each row', async () => {
    using http = openHttpClient();
    const statements: number[] = [];
    for (const name of ['badge', 'profile', 'feed'] as const) {
      await graphqlScreen(url, name, { http, trusted: false });
      statements.push(http.takeCost().statements);
    }
    // A user and a count; a user, a list and ten counts; a list, ten authors, ten lists, thirty authors.
    expect(statements).toEqual([2, 1 + 1 + 10, 1 + 10 + 10 + 30]);
  });

  test('answers an array of as many questions as fit', async () => {
    const body = JSON.stringify(Array.from({ length: 100 }, () => ({ query: '{ user(id: 1) { name } }' })));
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body,
    });
    expect(await response.json()).toHaveLength(100);
    expect(response.headers.get('X-SQL-Statements')).toBe('100');
  });

  test('tells a stranger its schema, and corrects what is misspelt', async () => {
    const { text } = await askRaw(url, '{ __schema { types { name } } }');
    expect(text).toContain('"PostConnection"');
    expect((await askRaw(url, '{ user(id: 1) { emial } }')).text).toContain('Did you mean \\"email\\"');
  });

  test('with a loader for all: a change is never seen', async () => {
    await using mended = await startNaiveServer({ databaseUrl, sharedLoader: true });
    const nameOf2 = async () => (await askRaw(mended.url, '{ user(id: 2) { name } }')).text;
    const before = await nameOf2();
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    await client.query("update blog.users set name = 'Somebody else' where id = 2");
    await client.end();
    expect(await nameOf2()).toBe(before);
    expect((await askRaw(url, '{ user(id: 2) { name } }')).text).toContain('Somebody else');
  });
});
