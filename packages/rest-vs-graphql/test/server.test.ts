/** Both servers over one database, and what becomes of a request when the database is slow, gone, or nobody waits any more. */
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { startProcess } from '@patterns/kit/testing/processes';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { CommentAdded } from '../comment-feed.ts';
import { openDatabase } from '../database.ts';
import { startRest } from '../rest.ts';
import { startServer } from '../server.ts';
import { callRest, openBlog, silentLog, TOKENS } from './blog.ts';

/** Nobody reads a post while it is held. */
const LOCK = 'lock table blog.posts in access exclusive mode';

/** Soon, for what is to be cut off. */
const SHORT_MS = 100;
/** For what must not be: longer than any test. */
const LONG_MS = 60_000;

requirePostgres()('the server', () => {
  let blog: Awaited<ReturnType<typeof openBlog>>;
  beforeAll(async () => {
    blog = await openBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  const start = (options: { size?: number; acquireMs?: number; statementMs?: number } = {}) =>
    startRest({
      databaseUrl: blog.databaseUrl,
      tokens: TOKENS,
      log: silentLog(),
      statementMs: LONG_MS,
      acquireMs: LONG_MS,
      ...options,
    });

  test('has one blog behind both: the same rows, rules and versions, and a comment is announced whichever way it came', async () => {
    await using feed = new MemoryFeed<CommentAdded>();
    const { databaseUrl } = blog;
    const both = { log: silentLog(), statementMs: LONG_MS };
    await using server = await startServer({
      databaseUrl,
      feed,
      tokens: TOKENS,
      rest: both,
      graphql: { ...both, operationMs: LONG_MS },
    });
    const rest = (path: string, call = {}) => callRest(server.restUrl + path, { token: 'one', ...call });
    const graphql = async (query: string, token = 'one') => {
      const { json } = await callRest(`${server.graphqlUrl}/graphql`, { token, body: { query } });
      return (json as { data: Record<string, Record<string, unknown>> }).data;
    };

    const { headers } = await rest('/posts', { body: { title: 'By REST', body: 'B' } });
    const path = headers.get('Location')!;
    const id = path.split('/').at(-1)!;
    const read = `{ post(id: ${id}) { title version author { email } } }`;
    expect((await graphql(read)).post).toEqual({
      title: 'By REST',
      version: 1,
      author: { email: 'user1@example.com' },
    });
    expect((await graphql(read, 'two')).post).toMatchObject({ author: { email: null } });

    await graphql(
      `mutation { updatePost(input: { id: ${id}, expectedVersion: 1, title: "By GraphQL" }) { post { id } } }`,
    );
    const patch = { method: 'PATCH', headers: { 'Content-Type': 'application/merge-patch+json', 'If-Match': '"v1"' } };
    expect((await rest(path, { ...patch, body: { title: 'Again' } })).status).toBe(412);
    expect((await rest(path)).json).toMatchObject({ title: 'By GraphQL', version: 2 });

    await rest(`${path}/comments`, { body: { body: 'by REST' } });
    await graphql(`mutation { createComment(input: { post: ${id}, body: "by GraphQL" }) { comment { id } } }`);
    const announced = await feed.read({ topic: `post:${id}` });
    expect(announced.map(({ data }) => data.body)).toEqual(['by REST', 'by GraphQL']);
  });

  test('cuts off a slow statement and says 503, and meanwhile it is alive and ready', async () => {
    await using server = await start({ statementMs: SHORT_MS });
    await using _lock = await blog.lock(LOCK);
    const [read, write, live, ready] = await Promise.all([
      callRest(`${server.url}/posts/1`),
      callRest(`${server.url}/posts`, { token: 'one', body: { title: 'A', body: 'B' } }),
      callRest(`${server.url}/live`),
      callRest(`${server.url}/ready`),
    ]);
    expect([read, write, live, ready].map(({ status }) => status)).toEqual([503, 503, 200, 200]);
    expect([read.headers.get('Retry-After'), read.headers.get('Cache-Control')]).toEqual(['2', null]);
    await blog.waiting(0); // PostgreSQL has stopped as well, with the lock still there
  });

  test('says 503 to who would have to wait for a connection for too long', async () => {
    await using server = await start({ size: 1, acquireMs: SHORT_MS });
    await until('a connection', async () => (await callRest(`${server.url}/users/1`)).status === 200);
    const lock = await blog.lock(LOCK);
    const first = callRest(`${server.url}/posts/1`);
    await blog.waiting(1);
    expect((await callRest(`${server.url}/users/1`)).status).toBe(503);
    expect((await callRest(`${server.url}/metrics`)).status).toBe(200); // without asking the database
    await lock[Symbol.asyncDispose]();
    expect((await first).status).toBe(200);
  });

  test('cancels the statement of a client that has left, and others can have its connection', async () => {
    await using server = await start({ size: 1 });
    await using _lock = await blog.lock('lock table blog.comments in access exclusive mode');
    const leaving = new AbortController();
    const left = fetch(`${server.url}/posts/1/comments`, { signal: leaving.signal });
    await blog.waiting(1);
    leaving.abort();
    await expect(left).rejects.toThrow('aborted');
    await blog.waiting(0);
    expect((await callRest(`${server.url}/users/1`)).status).toBe(200);
  });

  test('outlives its connections to the database, and says so while there is no database', async () => {
    await using server = await start({ size: 2 });
    const status = async () => (await callRest(`${server.url}/users/1`)).status;
    expect(await status()).toBe(200);
    await blog.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where application_name = 'rest-vs-graphql' and datname = current_database()`);
    await until('a new connection', async () => (await status()) === 200);

    await using nowhere = await startRest({ databaseUrl: 'postgres://127.0.0.1:9/none', log: silentLog() });
    expect((await callRest(`${nowhere.url}/users/1`)).status).toBe(503);
    expect((await callRest(`${nowhere.url}/live`)).status).toBe(200);
  });

  test('answers what is in flight when it is told to stop, and leaves nothing open', async () => {
    await using _leaks = noLeaks();
    const lock = await blog.lock(LOCK);
    const server = await start();
    const inFlight = callRest(`${server.url}/posts/1`);
    await blog.waiting(1);
    const stopped = server[Symbol.asyncDispose]();
    await expect(callRest(`${server.url}/users/1`)).rejects.toThrow('fetch failed');
    await lock[Symbol.asyncDispose]();
    expect((await inFlight).status).toBe(200);
    await stopped;
  });

  test('counts requests by route, and statements', async () => {
    await using server = await start();
    for (const path of ['/users/1', '/users/2', '/users/99999', '/nowhere/1']) await callRest(server.url + path);
    const { text } = await callRest(`${server.url}/metrics`);
    expect(text).toContain('sql_statements_total 3');
    expect(text).toContain('http_request_duration_seconds_count{method="GET",route="/users/:id",status="200"} 2');
    expect(text).toContain('http_request_duration_seconds_count{method="GET",route="/users/:id",status="404"} 1');
    expect(text).not.toContain('/nowhere');
  });

  test('by hand: prints where both are and lines to paste, and ends on SIGTERM', async () => {
    await using server = startProcess(new URL('../server.ts', import.meta.url), {
      env: { DATABASE_URL: blog.databaseUrl, REDIS_URL: undefined, LOG_LEVEL: 'error' },
    });
    const restUrl = await server.url(18_000);
    const [, graphqlUrl] = /^GraphQL on (\S+)$/.exec(await server.line(/^GraphQL on/))!;
    await server.line(/pnpm -C packages\/rest-vs-graphql client/);
    expect((await callRest(`${restUrl}/users/1`, { token: 'token-of-1' })).json).toMatchObject({
      email: 'user1@example.com',
    });
    const query = '{ user(id: 1) { name } }';
    expect((await callRest(graphqlUrl!, { body: { query } })).json).toMatchObject({
      data: { user: { name: 'Alan Baker' } },
    });
    expect(await server.kill('SIGTERM')).toEqual({ code: 0, signal: null });
  });
});

test('a statement is not even sent for who has left already', async () => {
  await using database = openDatabase({ url: 'postgres://127.0.0.1:9/none' });
  const db = database.forRequest(AbortSignal.abort(new Error('gone')));
  await expect(db.query('select 1')).rejects.toThrow('gone');
  expect(db.statements).toBe(0);
});
