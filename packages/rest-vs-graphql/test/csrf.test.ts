/** What a page of another site can make a browser send, and what becomes of it. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { documentId, documents, trustedDocuments } from '../documents.ts';
import { PREFLIGHT_HEADER } from '../protocol.ts';
import { call, startServer } from './graphql-blog.ts';

requirePostgres()('requests that a browser sends for another site', () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  beforeAll(async () => {
    server = await startServer({ trustedDocuments });
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const body = JSON.stringify({ query: 'mutation { createPost(input: { title: "x", body: "x" }) { post { id } } }' });
  const byGet = (headers: Record<string, string>, query = 'query={__typename}') =>
    call(`${server.url}?${query}`, { headers });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x'])(
    'a POST of %s, which needs no preflight, is 415',
    async (type) => {
      const { status, statements } = await call(server.url, {
        method: 'POST',
        headers: { 'Content-Type': type },
        body,
      });
      expect([status, statements]).toEqual([415, 0]);
    },
  );

  test('a preflight is not answered with a yes', async () => {
    const { status, headers } = await call(server.url, {
      method: 'OPTIONS',
      headers: {
        Origin: 'https://elsewhere.example',
        'Access-Control-Request-Method': 'POST',
        'Access-Control-Request-Headers': 'content-type',
      },
    });
    expect(status).toBe(405);
    expect(headers.get('Access-Control-Allow-Origin')).toBeNull();
  });

  test('a query by GET is 403 when a browser says that another site wants it, unless it has asked first', async () => {
    for (const site of ['cross-site', 'same-site']) {
      expect((await byGet({ 'Sec-Fetch-Site': site })).status).toBe(403);
      expect((await byGet({ 'Sec-Fetch-Site': site, [PREFLIGHT_HEADER]: '1' })).status).toBe(200);
    }
    for (const site of ['same-origin', 'none']) expect((await byGet({ 'Sec-Fetch-Site': site })).status).toBe(200);
    expect((await byGet({})).status).toBe(200); // no browser
  });

  test('a subscription by GET likewise', async () => {
    const query = `query=${encodeURIComponent('subscription { commentAdded(post: 1) { id } }')}`;
    expect((await byGet({ 'Sec-Fetch-Site': 'cross-site', Accept: 'text/event-stream' }, query)).status).toBe(403);
  });

  test('a trusted document is not theirs to choose: it needs no header, and stays in caches', async () => {
    const { status } = await byGet({ 'Sec-Fetch-Site': 'cross-site' }, `documentId=${documentId(documents.feed)}`);
    expect(status).not.toBe(403);
  });
});
