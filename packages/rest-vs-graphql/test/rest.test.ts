/** The menu: what each path answers, in how many bytes and SQL statements, and what it says to a request that it does not understand. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startRestBlog } from './blog.ts';

interface Row {
  readonly id: number;
}

const MERGE_PATCH = 'application/merge-patch+json';

requirePostgres()('the menu', () => {
  let blog: Awaited<ReturnType<typeof startRestBlog>>;
  beforeAll(async () => {
    blog = await startRestBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  const nextOf = (headers: Headers) => /^<([^>]+)>; rel="next"$/.exec(headers.get('Link') ?? '')?.[1];

  /** The ids of a list, by following its links from the first page to the last. */
  async function follow(path: string, between: () => Promise<unknown> = async () => {}): Promise<number[]> {
    const ids: number[] = [];
    for (let next: string | undefined = path; next; ) {
      const { status, json, headers, statements } = await blog.call(next);
      expect([status, statements]).toEqual([200, 1]);
      ids.push(...(json as Row[]).map(({ id }) => id));
      next = nextOf(headers);
      if (next) await between();
    }
    return ids;
  }
  const idsOf = async (text: string) => (await blog.query<Row>(`${text} order by id desc`)).map(({ id }) => id);

  test('following the links of a list from page to page gives every row once, newest first, also when it ends with a full page', async () => {
    const posts = await idsOf('select id from blog.posts where is_published and author_id = 1');
    expect(await follow('/users/1/posts?limit=20')).toEqual(posts);
    const comments = await idsOf('select id from blog.comments where post_id = 7');
    expect(await follow(`/posts/7/comments?limit=${comments.length}`)).toEqual(comments);
    expect(await follow('/posts/7/comments?limit=1')).toEqual(comments);
  });

  test('whatever is written meanwhile, every row that was there is given once', async () => {
    const before = await idsOf('select id from blog.posts where is_published');
    const write = () => blog.call('/posts', { token: 'one', body: { title: 'New', body: 'meanwhile' } });
    expect(await follow('/posts?limit=100&fields=id', write)).toEqual(before);
    const after = await idsOf('select id from blog.posts where is_published');
    expect(after.length).toBeGreaterThan(before.length);
  });

  test('the link to the next page keeps what was asked for', async () => {
    const { headers } = await blog.call('/posts?limit=2&fields=id,title');
    const { json } = await blog.call(nextOf(headers)!);
    expect((json as object[]).map((row) => Object.keys(row))).toEqual([
      ['id', 'title'],
      ['id', 'title'],
    ]);
  });

  test('a page has ten rows unless it is said otherwise', async () => {
    expect((await blog.call('/posts')).json).toHaveLength(10);
  });

  test('fields that nobody asked for are not sent, which is most of the bytes', async () => {
    const all = await blog.call('/users/7');
    const some = await blog.call('/users/7?fields=name,postCount');
    expect(some.json).toEqual({ name: (all.json as { name: string }).name, postCount: 16 });
    expect(Number(some.headers.get('Content-Length'))).toBeLessThan(Number(all.headers.get('Content-Length')) / 5);
    const posts = await blog.call('/users/7/posts?fields=title,commentCount');
    expect(posts.text.length).toBeLessThan((await blog.call('/users/7/posts')).text.length / 5);
    expect([all, some, posts].map(({ statements }) => statements)).toEqual([1, 1, 1]); // fewer bytes, as much work
  });

  test("somebody's address is shown to them and to nobody else, whatever fields are asked for", async () => {
    const emailFor = async (token?: string) => {
      const answers = await Promise.all(
        ['/users/1', '/users/1?fields=email'].map((path) => blog.call(path, token ? { token } : {})),
      );
      return answers.map(({ json }) => (json as { email: string | null }).email);
    };
    expect(await emailFor('one')).toEqual(['user1@example.com', 'user1@example.com']);
    expect(await emailFor('two')).toEqual([null, null]);
    expect(await emailFor()).toEqual([null, null]);
  });

  test('a new post and a new comment are answered with 201 and the address under which they are', async () => {
    for (const [path, body] of [
      ['/posts', { title: 'A', body: 'B' }],
      ['/posts/1/comments', { body: 'C' }],
    ] as const) {
      const created = await blog.call(path, { token: 'two', body });
      expect([created.status, created.statements]).toEqual([201, 1]);
      const found = await blog.call(created.headers.get('Location')!);
      expect(found.status).toBe(200);
      expect(found.json).toEqual(created.json);
      expect(found.json).toMatchObject({ ...body, authorId: 2 });
    }
  });

  test('who may not is told so: 401 for nobody and for an unknown token, 403 for somebody else, 404 for what they may not even see', async () => {
    const body = { title: 'A', body: 'B', isPublished: false };
    const draft = (await blog.call('/posts', { token: 'one', body })).headers.get('Location')!;
    const patch = { method: 'PATCH', headers: { 'Content-Type': MERGE_PATCH, 'If-Match': '"v1"' }, body: {} };
    const answers = [
      await blog.call('/posts', { body }),
      await blog.call('/users/1', { token: 'three' }),
      await blog.call('/posts/1', { ...patch, token: 'two' }),
      await blog.call(draft, { ...patch, token: 'two' }),
      await blog.call(draft, { token: 'two' }),
      await blog.call(draft, { token: 'one' }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 403, 404, 404, 200]);
    expect(answers[0]!.headers.get('WWW-Authenticate')).toBe('Bearer');
  });

  test('what is not there is 404, and an empty list is not', async () => {
    const [{ id } = { id: 0 }] = await blog.query<Row>(
      `with user1 as (insert into blog.users (name, email, bio) values ('New', 'new@example.com', '') returning id) select id from user1`,
    );
    const statusOf = async (path: string) => (await blog.call(path)).status;
    const missing = [
      '/users/99999',
      '/users/99999/posts',
      '/posts/99999',
      '/posts/99999/comments',
      '/posts/1/comments/1',
      '/nowhere',
    ];
    expect(await Promise.all(missing.map(statusOf))).toEqual(missing.map(() => 404));
    expect((await blog.call(`/users/${id}/posts`)).json).toEqual([]);
  });

  test.each([
    ['/users/one', 'id'],
    ['/users/99999999999', 'id'],
    ['/users/0/posts', 'id'],
    ['/posts/1.5/comments', 'id'],
    ['/posts/1/comments/x', 'comment'],
    ['/posts?after=%00', 'after'],
    ['/posts?after=Y29tbWVudDo0Mg', 'after'], // a cursor of comments
    ['/users/1/posts?limit=0', 'limit'],
    ['/users/1/posts?limit=101', 'limit'],
    ['/posts?limit=1&limit=2', 'limit'],
    ['/posts?fields=id,nmae', 'fields'],
    ['/posts/1?fields=', 'fields'],
    ['/users/1?fields=id,password', 'fields'],
  ])('%s is 400, names the field, and asks the database nothing', async (path, field) => {
    const { status, headers, json, statements } = await blog.call(path);
    expect([status, headers.get('Content-Type')]).toEqual([400, 'application/problem+json']);
    expect(json).toMatchObject({ errors: [{ field, expected: expect.any(String) as string }] });
    expect(statements).toBe(0);
  });

  test.each([
    ['is not JSON', '{ "title": ', ''],
    ['is not an object', '[]', ''],
    ['lacks something', '{ "title": "A" }', '/body'],
    ['has something of the wrong type', '{ "title": 7, "body": "B" }', '/title'],
    ['has what nobody may set', '{ "title": "A", "body": "B", "authorId": 2 }', '/authorId'],
  ])('a body that %s is 400 and names the field', async (_what, body, field) => {
    const { status, json } = await blog.call('/posts', { token: 'one', body });
    expect(status).toBe(400);
    expect((json as { errors: { field: string }[] }).errors.map((error) => error.field)).toContain(field);
  });

  test('each refusal says what would have been right: 405 with Allow, 406, 413, 415', async () => {
    const refusals = [
      await blog.call('/posts/1', { method: 'DELETE' }),
      await blog.call('/users/1', { method: 'PUT', body: {} }),
      await blog.call('/posts', { headers: { Accept: 'text/html' } }),
      await blog.call('/posts', { token: 'one', body: { title: 'A', body: 'B'.repeat(70_000) } }),
      await blog.call('/posts', {
        method: 'POST',
        token: 'one',
        body: 'title=A',
        headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
      }),
      await blog.call('/posts/1', { method: 'PATCH', token: 'one', headers: { 'If-Match': '"v1"' }, body: {} }),
    ];
    expect(refusals.map(({ status }) => status)).toEqual([405, 405, 406, 413, 415, 415]);
    const headers = refusals.map((refusal) => refusal.headers);
    expect([headers[0]!.get('Allow'), headers[1]!.get('Allow')]).toEqual(['GET, HEAD, PATCH', 'GET, HEAD']);
    expect([headers[4]!.get('Accept'), headers[5]!.get('Accept-Patch')]).toEqual(['application/json', MERGE_PATCH]);
    for (const each of headers) expect(each.get('Content-Type')).toBe('application/problem+json');
  });

  test('HEAD has the headers of GET, and no body', async () => {
    const get = await blog.call('/posts?limit=3');
    const head = await blog.call('/posts?limit=3', { method: 'HEAD' });
    expect([head.status, head.text]).toEqual([200, '']);
    for (const name of ['ETag', 'Link', 'Content-Length', 'Cache-Control'])
      expect(head.headers.get(name)).toBe(get.headers.get(name));
  });
});
