/** One statement per level of the question, whatever its width; and what a loader remembers is forgotten with its request. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { documents } from '../documents.ts';
import { startGraphqlBlog } from './graphql-blog.ts';

requirePostgres()('loaders', () => {
  let blog: Awaited<ReturnType<typeof startGraphqlBlog>>;
  beforeAll(async () => {
    blog = await startGraphqlBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  test('an answer costs one statement per level, whatever its width', async () => {
    const feed = (first: number) =>
      `{ posts(first: ${first}) { nodes { author { name } comments(first: 3) { nodes { author { name } } } } } }`;
    // The posts; their authors; their comments; the authors of those.
    const [one, ten, fifty] = await Promise.all([1, 10, 50].map((first) => blog.ask(feed(first))));
    expect([one!.statements, ten!.statements, fifty!.statements]).toEqual([4, 4, 4]);
    expect(fifty!.json.data.posts.nodes).toHaveLength(50);
    expect(
      fifty!.json.data.posts.nodes.every(
        ({ comments }: { comments: { nodes: unknown[] } }) => comments.nodes.length === 3,
      ),
    ).toBe(true);
  });

  test('the screens of our client: 1, 2 and 4 statements', async () => {
    const variables = { id: '7' };
    expect((await blog.ask(documents.badge, { variables })).statements).toBe(1);
    expect((await blog.ask(documents.profile, { variables })).statements).toBe(2);
    expect((await blog.ask(documents.feed)).statements).toBe(4);
  });

  test('the same thing asked for twice is loaded once, and put in the place of each that asked for it', async () => {
    const { statements, json } = await blog.ask(
      '{ a: user(id: 3) { id } b: user(id: 2) { id } c: user(id: 3) { id } d: user(id: 999999) { id } }',
    );
    expect(json.data).toEqual({ a: { id: '3' }, b: { id: '2' }, c: { id: '3' }, d: null });
    expect(statements).toBe(1);
  });

  test('two viewers who ask at once do not see what was loaded for the other', async () => {
    const [draft] = await blog.query<{ id: number }>(
      'select id from blog.posts where author_id = 1 and not is_published limit 1',
    );
    const query = `{ post(id: ${draft!.id}) { title } user(id: 1) { email } }`;
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, n) => blog.ask(query, { token: n % 2 === 0 ? 'one' : 'two' })),
    );
    for (const [n, { json }] of answers.entries()) {
      if (n % 2 === 0)
        expect(json.data).toEqual({ post: { title: expect.any(String) }, user: { email: 'user1@example.com' } });
      else expect(json.data).toEqual({ post: null, user: { email: null } });
    }
  });

  test('the next request sees what has changed since', async () => {
    const name = async () => (await blog.ask('{ user(id: 400) { name } }')).json.data.user.name;
    await name();
    await blog.query("update blog.users set name = 'Renamed' where id = 400");
    expect(await name()).toBe('Renamed');
  });
});
