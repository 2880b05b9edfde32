/** Documents by their hash: short enough for a URL, kept by caches, and the only ones there are if one says so. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { documentId, documents, trustedDocuments } from '../documents.ts';
import { GRAPHQL_RESPONSE } from '../protocol.ts';
import { call, startGraphqlBlog, startServer } from './graphql-blog.ts';

requirePostgres()('trusted documents', () => {
  let blog: Awaited<ReturnType<typeof startGraphqlBlog>>;
  beforeAll(async () => {
    blog = await startGraphqlBlog({ trustedDocuments });
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  const badge = (id: string) =>
    `${blog.url}?documentId=${documentId(documents.badge)}&variables=${encodeURIComponent(JSON.stringify({ id }))}`;
  const get = (url: string, headers: Record<string, string> = {}) =>
    call(url, { headers: { Accept: GRAPHQL_RESPONSE, ...headers } });
  const post = (url: string, body: object) =>
    call(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: GRAPHQL_RESPONSE },
      body: JSON.stringify(body),
    });

  test('the answer to a GET may be kept by everybody, and is sent again only when it has changed', async () => {
    const first = await get(badge('300'));
    expect([first.status, first.json.data.user.name]).toEqual([200, expect.any(String)]);
    expect(first.headers.get('Cache-Control')).toBe('public, no-cache');
    expect(first.headers.get('Vary')).toBe('Accept, Authorization');
    const headers = { 'If-None-Match': first.headers.get('ETag')! };
    const again = await get(badge('300'), headers);
    expect([again.status, again.text, again.headers.get('ETag')]).toEqual([304, '', headers['If-None-Match']]);
    const head = await call(badge('300'), { method: 'HEAD', headers: { Accept: GRAPHQL_RESPONSE } });
    expect([head.status, head.text, head.headers.get('ETag')]).toEqual([200, '', headers['If-None-Match']]);
    await blog.query("update blog.users set name = 'Renamed' where id = 300");
    expect((await get(badge('300'), headers)).json.data.user.name).toBe('Renamed');
  });

  test('what somebody in particular was answered is theirs alone, and another media type is another representation', async () => {
    const mine = await get(badge('7'), { Authorization: 'Bearer one' });
    expect(mine.headers.get('Cache-Control')).toBe('private, no-cache');
    const json = await get(badge('7'), { Accept: 'application/json' });
    expect(json.headers.get('ETag')).not.toBe(mine.headers.get('ETag'));
  });

  test('what is not the answer to a trusted document by GET, or has errors in it, is kept by nobody', async () => {
    const adHoc = await get(`${blog.url}?query={__typename}`);
    const byPost = await post(blog.url, { documentId: documentId(documents.badge), variables: { id: '7' } });
    const partly = await get(badge('seven'));
    expect([adHoc.status, byPost.status]).toEqual([200, 200]);
    expect(partly.json.errors).toHaveLength(1);
    for (const { headers } of [adHoc, byPost, partly]) {
      expect([headers.get('Cache-Control'), headers.get('ETag')]).toEqual(['no-store', null]);
    }
  });

  test('an id that nobody knows is one error, of a well-formed answer', async () => {
    const unknown = `sha256:${'0'.repeat(64)}`;
    for (const { status, json } of [
      await get(`${blog.url}?documentId=${unknown}`),
      await post(blog.url, { documentId: unknown }),
    ]) {
      expect([status, json.errors?.length, json.errors?.[0]?.extensions?.code]).toEqual([400, 1, 'DOCUMENT_NOT_FOUND']);
    }
  });

  test('with trustedOnly no other document is executed', async () => {
    await using strict = await startServer({ databaseUrl: blog.databaseUrl, trustedDocuments, trustedOnly: true });
    const refused = [await strict.ask('{ viewer { id } }'), await get(`${strict.url}?query={__typename}`)];
    for (const { status, statements, json } of refused) {
      expect([status, statements, json.errors?.[0]?.extensions?.code]).toEqual([400, 0, 'DOCUMENT_REQUIRED']);
    }
    expect((await post(strict.url, { documentId: documentId(documents.feed) })).status).toBe(200);
  });

  test('a trusted document that is not valid, or not what its id says, keeps the server from starting', async () => {
    const start = (id: string, text: string) => startServer({ trustedDocuments: new Map([[id, text]]) });
    await expect(start(documentId('{ nothing }'), '{ nothing }')).rejects.toThrow(/not valid.*nothing/);
    await expect(start(documentId('{ viewer { id } }'), '{ viewer { name } }')).rejects.toThrow(/has the hash/);
  });
});
