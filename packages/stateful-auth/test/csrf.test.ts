import { requirePostgres, requireRedis } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { openClient } from '../client.ts';
import { startServers } from './servers.ts';

requireRedis()('requests that another site causes', () => {
  requirePostgres()('in the name of a user who is logged in', () => {
    let servers: Awaited<ReturnType<typeof startServers>>;
    let client: ReturnType<typeof openClient>;
    beforeAll(async () => {
      servers = await startServers();
      client = await servers.loggedIn();
    });
    afterAll(() => servers[Symbol.asyncDispose]());

    const post = (headers: Record<string, string>, path = '/preferences/none', method = 'PUT') =>
      client.send(path, { method, headers });

    test.each([
      ['from another site', { 'Sec-Fetch-Site': 'cross-site' }],
      ['from a neighbour on the same site', { 'Sec-Fetch-Site': 'same-site' }],
      ['in words that no browser says', { 'Sec-Fetch-Site': 'same-origin, cross-site' }],
      ['whatever Origin says', { 'Sec-Fetch-Site': 'cross-site', Origin: 'OWN' }],
      ['from another origin, in an older browser', { Origin: 'https://evil.example' }],
      ['from another port', { Origin: 'http://127.0.0.1:1' }],
      ['from our own host over another scheme', { Origin: 'HTTPS' }],
      ['from a page that hides its origin', { Origin: 'null' }],
    ] as [string, Record<string, string>][])('are refused: %s', async (_what, { Origin, ...headers }) => {
      const named = new Map([
        ['OWN', servers.a],
        ['HTTPS', servers.a.replace('http:', 'https:')],
      ]);
      const answer = await post(Origin ? { ...headers, Origin: named.get(Origin) ?? Origin } : headers);
      expect(answer.status).toBe(403);
      expect(answer.headers.get('Content-Type')).toBe('application/problem+json');
      expect((await client.profile()).preferences).not.toContain('none');
    });

    test.each([
      ['/login', 'POST'],
      ['/logout', 'POST'],
      ['/logout-everywhere', 'POST'],
      ['/preferences/dark%20mode', 'DELETE'],
    ])('are refused at %s, too', async (path, method) => {
      expect((await post({ 'Sec-Fetch-Site': 'cross-site' }, path, method)).status).toBe(403);
      expect((await client.profile()).preferences).toContain('dark mode');
    });

    test.each([
      ['from our own page', { 'Sec-Fetch-Site': 'same-origin' }],
      ['from the user, and no page', { 'Sec-Fetch-Site': 'none' }],
      ['from our own page, in an older browser', { Origin: 'OWN' }],
      ['from a program that is no browser', {}],
    ])('are not confused with those %s', async (_what, headers) => {
      const own = 'Origin' in headers ? { Origin: servers.a } : headers;
      expect((await post(own as Record<string, string>, '/preferences/some')).status).toBe(204);
    });

    test('may read, since nobody there sees the answer: a link leads in', async () => {
      expect((await client.send('/profile', { headers: { 'Sec-Fetch-Site': 'cross-site' } })).status).toBe(200);
    });
  });
});
