/** What an answer holds, and what it leaves out: partial data, masked errors, who may see what, and when time is up. */

import { createLog } from '@patterns/kit/log';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { execute, parse } from 'graphql';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cutOff, type Deadline, startDeadline } from '../deadline.ts';
import { GRAPHQL_PATH } from '../protocol.ts';
import { buildBlogSchema } from '../schema.ts';
import { call, startGraphqlBlog, startServer } from './graphql-blog.ts';

requirePostgres()('a blog by GraphQL', () => {
  let blog: Awaited<ReturnType<typeof startGraphqlBlog>>;
  beforeAll(async () => {
    blog = await startGraphqlBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  interface Page {
    readonly nodes: readonly { readonly id: string }[];
    readonly pageInfo: { readonly endCursor: string; readonly hasNextPage: boolean };
  }
  const LOCK_USERS = 'lock table blog.users in access exclusive mode';

  test('following the cursors from page to page gives every row once, newest first', async () => {
    const query =
      'query Q($after: String) { posts(author: 7, first: 5, after: $after) { nodes { id } pageInfo { endCursor hasNextPage } } }';
    const ids: number[] = [];
    for (let after: string | null = null; ; ) {
      const { posts }: { posts: Page } = (await blog.ask(query, { variables: { after } })).json.data;
      ids.push(...posts.nodes.map(({ id }) => Number(id)));
      if (!posts.pageInfo.hasNextPage) break;
      after = posts.pageInfo.endCursor;
    }
    const rows = await blog.query<{ id: number }>(
      'select id from blog.posts where author_id = 7 and is_published order by id desc',
    );
    expect(ids).toEqual(rows.map(({ id }) => id));
  });

  test('an address is seen by the user it belongs to and by nobody else, by whichever way through the graph', async () => {
    const [post] = await blog.query<{ id: number }>(
      'select id from blog.posts where author_id = 1 and is_published limit 1',
    );
    const query = `{ user(id: 1) { email } post(id: ${post!.id}) { author { email } } viewer { id email } }`;
    const see = async (token?: string) => (await blog.ask(query, token ? { token } : {})).json.data;
    expect(await see()).toEqual({ user: { email: null }, post: { author: { email: null } }, viewer: null });
    const email = 'user1@example.com';
    expect(await see('one')).toEqual({ user: { email }, post: { author: { email } }, viewer: { id: '1', email } });
    expect((await see('two')).user.email).toBeNull();
  });

  test('a draft is its author’s alone', async () => {
    const [draft] = await blog.query<{ id: number }>(
      'select id from blog.posts where author_id = 1 and not is_published limit 1',
    );
    const query = `{ post(id: ${draft!.id}) { isPublished } }`;
    expect((await blog.ask(query, { token: 'two' })).json.data.post).toBeNull();
    expect((await blog.ask(query, { token: 'one' })).json.data.post).toEqual({ isPublished: false });
  });

  test('an unknown token is 401, and not taken for nobody', async () => {
    const { status, headers } = await blog.ask('{ viewer { id } }', { token: 'three' });
    expect([status, headers.get('WWW-Authenticate')]).toEqual([401, 'Bearer']);
  });

  test('a change of an old version is a Conflict in the payload, and nothing is changed; so is input that makes no sense', async () => {
    const update = `mutation U($input: UpdatePostInput!) { updatePost(input: $input) {
      post { title version } error { __typename message ... on InvalidInput { fields { field expected } } } } }`;
    const create =
      'mutation { createPost(input: { title: "First", body: "Text" }) { post { id version } error { message } } }';
    const { id, version } = (await blog.ask(create, { token: 'two' })).json.data.createPost.post;
    const change = async (input: object, token = 'two') =>
      (await blog.ask(update, { token, variables: { input: { id, expectedVersion: version, ...input } } })).json.data
        .updatePost;
    expect(await change({ title: 'Second' })).toEqual({ post: { title: 'Second', version: 2 }, error: null });
    expect(await change({ title: 'Third' })).toMatchObject({ post: null, error: { __typename: 'Conflict' } });
    expect(await change({ title: ' ' })).toMatchObject({
      error: { __typename: 'InvalidInput', fields: [{ field: '/title' }] },
    });
    expect(await change({ title: 'Mine' }, 'one')).toMatchObject({ error: { __typename: 'NotAllowed' } });
    expect(await change({ id: '999999999' })).toMatchObject({ error: { __typename: 'NotFound' } });
    expect(await blog.query(`select title, version from blog.posts where id = ${id}`)).toEqual([
      { title: 'Second', version: 2 },
    ]);
  });

  test('who changes something without saying who they are is told so, with a code', async () => {
    const { json } = await blog.ask('mutation { createComment(input: { post: 7, body: "hm" }) { comment { id } } }');
    expect(json.errors?.[0]).toMatchObject({ message: 'say who you are', extensions: { code: 'UNAUTHENTICATED' } });
  });

  test('a mutation by GET is 405 with Allow, and does nothing', async () => {
    const query = 'mutation { createPost(input: { title: "By GET", body: "x" }) { post { id } } }';
    const { status, headers } = await call(`${blog.url}?query=${encodeURIComponent(query)}`, {
      headers: { Authorization: 'Bearer one' },
    });
    expect([status, headers.get('Allow')]).toEqual([405, 'POST']);
    expect(await blog.query("select from blog.posts where title = 'By GET'")).toEqual([]);
  });

  test('what fails alone is missing alone; what must not be missing takes its parent with it: 294', async () => {
    await using _lock = await blog.lock(LOCK_USERS); // whoever wants a user waits until the statement's time is up
    await using hasty = await startServer({ databaseUrl: blog.databaseUrl, statementMs: 300 });
    const query =
      '{ posts(author: 7, first: 2) { nodes { title author { name } comments(first: 1) { nodes { body author { name } } } } } }';
    const { status, json } = await hasty.ask(query);
    expect(status).toBe(294);
    // `Post.author` may be null; `Comment.author` may not, nor may a comment in its list: the list's parent is the first that may.
    expect(json.data.posts.nodes).toEqual([
      { title: expect.any(String), author: null, comments: null },
      { title: expect.any(String), author: null, comments: null },
    ]);
    const codes = json.errors?.map(({ path, extensions }) => `${path?.join('.')} ${extensions?.code}`);
    expect(codes).toContain('posts.nodes.0.author UNAVAILABLE');
    expect(codes).toContain('posts.nodes.0.comments.nodes.0.author UNAVAILABLE');
    const old = await hasty.ask(query, { headers: { Accept: 'application/json' } });
    expect(old.status).toBe(200); // by this media type every answer is
  });

  test('when the time of an operation is up, what is there is sent, what is not is null, and its statement is cancelled', async () => {
    await using hasty = await startServer({ databaseUrl: blog.databaseUrl, operationMs: 400 });
    await using _lock = await blog.lock(LOCK_USERS);
    const { status, json } = await hasty.ask('{ posts(first: 1) { nodes { title author { name } } } }');
    expect(status).toBe(294);
    expect(json.data.posts.nodes[0]).toEqual({ title: expect.any(String), author: null });
    expect(json.errors?.[0]?.extensions).toEqual({ code: 'TIMEOUT' });
    await blog.waiting(0); // long before a statement's own time is up
  });

  test('a resolver that listens to nobody is given up as well, and what others have found is kept', async () => {
    const resolvers = { user: () => new Promise(() => {}), post: async () => ({ title: 'There' }) };
    using deadline = startDeadline(new AbortController().signal, 20);
    const { data, errors } = await execute({
      schema: buildBlogSchema<{ readonly deadline: Deadline }>({ Query: resolvers }, cutOff),
      document: parse('{ user(id: 1) { name } post(id: 1) { title } }'),
      contextValue: { deadline },
    });
    expect(data).toEqual({ user: null, post: { title: 'There' } });
    expect(errors?.[0]?.originalError?.name).toBe('TimeoutError');
  });

  test('a variable that is missing or of another type is 400, before one statement', async () => {
    for (const variables of [{}, { first: 'ten' }]) {
      const query = 'query Q($first: Int!) { posts(first: $first) { nodes { id } } }';
      const { status, statements, json } = await blog.ask(query, { variables });
      expect([status, statements, json.data]).toEqual([400, 0, undefined]);
      expect(json.errors?.[0]?.message).toMatch(/\$first/);
    }
  });

  test('when the client leaves, its statement is cancelled', async () => {
    await using _lock = await blog.lock(LOCK_USERS);
    const client = new AbortController();
    const asked = blog.ask('{ user(id: 1) { name } }', { signal: client.signal }).catch((error: Error) => error.name);
    await blog.waiting(1);
    client.abort();
    expect(await asked).toBe('AbortError');
    await blog.waiting(0);
  });

  test('an unexpected error is masked: the caller gets an id, the log gets the cause', async () => {
    const lines: Record<string, unknown>[] = [];
    const log = createLog('test');
    log.transports[0]!.log = (line: Record<string, unknown>, done: () => void) => {
      lines.push(line);
      done();
    };
    await using bare = await startServer({ log }); // its database has no tables
    const secret = 'a secret';
    const { json, text } = await bare.ask('query Q($id: ID!) { user(id: $id) { name } posts { nodes { id } } }', {
      variables: { id: '7', secret },
      operationName: 'Q',
    });
    expect(text).not.toMatch(/blog|relation|users/);
    const { message, extensions } = json.errors![0]!;
    expect([message, extensions?.code]).toEqual(['internal error', 'INTERNAL']);
    const unexpected = await until('a line of the log', () => lines.find(({ message }) => message === 'unexpected'));
    expect(unexpected.traceId).toBe(extensions?.traceId);
    expect(String(unexpected.error)).toMatch(/relation "blog\.(users|posts)" does not exist/);
    const operation = lines.find(({ message }) => message === 'operation');
    expect(operation).toMatchObject({ operation: 'Q', document: expect.stringMatching(/^sha256:[0-9a-f]{64}$/) });
    expect(JSON.stringify(lines)).not.toContain(secret); // never the variables
  });

  test('an id and a cursor that are none are 4xx for the caller to mend, not errors of ours', async () => {
    const { json } = await blog.ask('{ user(id: "x") { name } posts(after: "y") { nodes { id } } }');
    expect(json.errors?.map(({ extensions }) => extensions?.code)).toEqual(['INVALID', 'INVALID']);
  });

  test('a resolver for a field that is not in the schema is found at the start', () => {
    expect(() => buildBlogSchema({ User: { nmae: () => '' } })).toThrow('User.nmae');
  });

  test('nothing else is at its address', async () => {
    expect((await call(blog.url.replace(GRAPHQL_PATH, '/other'))).status).toBe(404);
    expect((await call(blog.url.replace(GRAPHQL_PATH, '/ready'))).status).toBe(200);
  });
});
