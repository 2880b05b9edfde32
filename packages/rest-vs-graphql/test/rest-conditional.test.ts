/** Conditional requests: what a client has is not sent again, and what somebody else has changed is not overwritten. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isCurrent, readIfMatch } from '../conditional.ts';
import { startRestBlog } from './blog.ts';

const MERGE_PATCH = 'application/merge-patch+json';

requirePostgres()('over HTTP', () => {
  let blog: Awaited<ReturnType<typeof startRestBlog>>;
  beforeAll(async () => {
    blog = await startRestBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  async function newPost() {
    const { headers } = await blog.call('/posts', { token: 'one', body: { title: 'A', body: 'B' } });
    return { path: headers.get('Location')!, etag: headers.get('ETag')! };
  }
  const patch = (path: string, etag: string | undefined, body: object) =>
    blog.call(path, {
      method: 'PATCH',
      token: 'one',
      headers: { 'Content-Type': MERGE_PATCH, ...(etag !== undefined && { 'If-Match': etag }) },
      body,
    });

  test.each([
    '/users/1',
    '/users/1/posts',
    '/posts?fields=id',
    '/posts/1',
    '/posts/1/comments',
    '/posts/1/comments/6000',
  ])(
    '%s is answered with 304 and no body to who has it, and may be kept if it is asked for again each time',
    async (path) => {
      const first = await blog.call(path);
      const etag = first.headers.get('ETag')!;
      expect(etag).toMatch(/^"[^"]+"$/); // strong
      const again = await blog.call(path, { headers: { 'If-None-Match': `"other", W/${etag}` } });
      expect([again.status, again.text, again.statements]).toEqual([304, '', 1]); // it saves bytes, not the look
      expect(again.headers.get('ETag')).toBe(etag);
      for (const { headers } of [first, again])
        expect([headers.get('Cache-Control'), headers.get('Vary')]).toEqual(['public, no-cache', 'Authorization']);
    },
  );

  test('what has changed has another ETag: a post when it is edited, and not when it is commented; a list when either happens', async () => {
    const { path } = await newPost();
    const paths = [path, '/posts', `${path}/comments`, '/users/1', '/users/2'];
    const etags = () => Promise.all(paths.map(async (each) => (await blog.call(each)).headers.get('ETag')));
    const before = await etags();
    const changed = async () => (await etags()).map((etag, i) => etag !== before[i]);
    const { text } = await blog.call(path);
    await blog.call(`${path}/comments`, { token: 'two', body: { body: 'C' } });
    expect(await changed()).toEqual([false, true, true, false, false]);
    expect((await blog.call(path)).text).toBe(text); // the same tag, so the same to the byte
    await patch(path, '"v1"', { isPublished: false });
    expect((await blog.call(path, { token: 'one' })).headers.get('ETag')).toBe('"v2"');
    expect(await changed()).toEqual([true, true, true, true, false]);
  });

  test('what somebody is shown because of who they are is not kept for others, and has an ETag of its own', async () => {
    const [anonymous, self] = [await blog.call('/users/1'), await blog.call('/users/1', { token: 'one' })];
    expect(self.headers.get('Cache-Control')).toBe('private, no-cache');
    expect(self.headers.get('ETag')).not.toBe(anonymous.headers.get('ETag'));
  });

  test('a change that names the current version is made, and answered with the next one', async () => {
    const { path, etag } = await newPost();
    const changed = await patch(path, etag, { title: 'Changed' });
    expect([changed.status, changed.statements, changed.headers.get('ETag')]).toEqual([200, 1, '"v2"']);
    expect(changed.json).toMatchObject({ title: 'Changed', body: 'B', version: 2 });
    expect((await patch(path, '"v2"', { body: 'D' })).json).toMatchObject({ title: 'Changed', body: 'D', version: 3 });
  });

  test.each([
    ['an old version', '"v0", "v1"', 412],
    ['a weak tag, which does not promise that it is the same to the byte', 'W/"v2"', 412],
    ['a tag that is none of ours', '"2"', 412],
    ['no version', undefined, 428],
    ['any version', '*', 428],
    ['what is no tag at all', 'v2', 400],
  ])('a change that names %s is not made', async (_what, ifMatch, status) => {
    const { path } = await newPost();
    await patch(path, '"v1"', { title: 'By somebody else' });
    const refused = await patch(path, ifMatch, { title: 'Changed' });
    expect(refused.status).toBe(status);
    expect((await blog.call(path)).json).toMatchObject({ title: 'By somebody else', version: 2 });
  });

  test('of two changes of the same version at the same moment one is made, and the other is told', async () => {
    const { path, etag } = await newPost();
    const id = path.split('/').at(-1);
    const lock = await blog.lock(`select from blog.posts where id = ${id} for update`);
    const changes = Promise.all(['First', 'Second'].map((title) => patch(path, etag, { title })));
    await blog.waiting(2); // both have begun before either can end
    await lock[Symbol.asyncDispose]();
    const [winner, loser] = (await changes).toSorted((a, b) => a.status - b.status);
    expect([winner!.status, loser!.status]).toEqual([200, 412]);
    const { json } = await blog.call(path);
    expect(json).toEqual(winner!.json);
    expect(json).toMatchObject({ version: 2 });
  });
});

describe('the fields', () => {
  test('If-None-Match names a version by the weak comparison, in a list, or by *', () => {
    for (const field of ['"a"', 'W/"a"', '"b", "a"', '"b,c","a"', '*', ' * '])
      expect(isCurrent(field, '"a"')).toBe(true);
    for (const field of [undefined, '', '"b"', 'a', '"A"', '"a,b"']) expect(isCurrent(field, '"a"')).toBe(false);
  });

  test('If-Match names versions by the strong comparison', () => {
    expect(readIfMatch('"v3"')).toEqual([3]);
    expect(readIfMatch('"v3", W/"v4", "other","v12"')).toEqual([3, 12]);
    expect(readIfMatch('"v0", "v01", "v9999999999"')).toEqual([]);
  });
});
