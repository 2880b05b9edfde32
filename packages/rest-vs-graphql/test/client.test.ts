/** The client, against both servers; and against a server of the test's own, where an answer is wanted that those never give. */
import { createServer, type RequestListener } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import type { CallError } from '../call-error.ts';
import { graphqlScreen, restScreen } from '../client.ts';
import { documents, type ScreenName } from '../documents.ts';
import { openHttpClient } from '../http-client.ts';
import { GRAPHQL_RESPONSE } from '../protocol.ts';
import { startServer } from '../server.ts';
import { DEMO_TOKENS as tokens } from '../viewer.ts';
import { silentLog } from './blog.ts';

requirePostgres()('the client', () => {
  const stack = new AsyncDisposableStack();
  let restUrl: string;
  let graphqlUrl: string;
  const log = silentLog();

  beforeAll(async () => {
    const { url: databaseUrl } = stack.use(await createDatabase(inject('databaseUrl'), 'client'));
    const options = { databaseUrl, tokens, rest: { log }, graphql: { log } };
    ({ restUrl, graphqlUrl } = stack.use(await startServer(options)));
  });
  afterAll(() => stack.disposeAsync());

  type Http = ReturnType<typeof openHttpClient>;
  const ways: Record<string, <Name extends ScreenName>(name: Name, http: Http) => Promise<unknown>> = {
    REST: (name, http) => restScreen(restUrl, name, { http }),
    'REST, sparse': (name, http) => restScreen(restUrl, name, { http, sparse: true }),
    'GraphQL, its text by POST': (name, http) => graphqlScreen(graphqlUrl, name, { http, trusted: false }),
    'GraphQL, its hash by GET': (name, http) => graphqlScreen(graphqlUrl, name, { http }),
  };

  test('shows the same screen, whichever way it comes', async () => {
    using http = openHttpClient();
    for (const name of Object.keys(documents) as ScreenName[]) {
      const screens = await Promise.all(Object.values(ways).map((get) => get(name, http)));
      for (const screen of screens) expect(screen).toEqual(screens[0]);
    }
    const feed = await graphqlScreen(graphqlUrl, 'feed', { http });
    expect(feed.posts).toHaveLength(10);
    expect(feed.posts.map(({ comments }) => comments.length)).toEqual(Array(10).fill(3));
  });

  /** Requests and round trips of each screen. */
  const OVER_REST = { badge: [1, 1], profile: [2, 1], feed: [31, 3] };
  const OVER_GRAPHQL = { badge: [1, 1], profile: [1, 1], feed: [1, 1] };

  test.each(Object.entries(ways))('asks no more often than it must: %s', async (way, get) => {
    using http = openHttpClient();
    for (const [name, costs] of Object.entries(way.startsWith('REST') ? OVER_REST : OVER_GRAPHQL)) {
      await get(name as ScreenName, http);
      const { requests, roundTrips, notModified } = http.takeCost();
      expect([requests, roundTrips], name).toEqual(costs);
      expect(notModified).toBeLessThanOrEqual(1); // the feed's 1 author whom the badge has shown
    }
  });

  test('of a profile, sparse fields send less than a third', async () => {
    using http = openHttpClient({ caching: false });
    await restScreen(restUrl, 'profile', { http });
    const whole = http.takeCost().bytes;
    await restScreen(restUrl, 'profile', { http, sparse: true });
    expect(http.takeCost().bytes).toBeLessThan(whole / 3);
  });

  test('what it has already comes as a 304, except by POST', async () => {
    const again: Record<string, number[]> = {};
    for (const [way, get] of Object.entries(ways)) {
      using http = openHttpClient();
      await get('profile', http);
      http.takeCost();
      await get('profile', http);
      const { requests, notModified } = http.takeCost();
      again[way] = [requests, notModified];
    }
    expect(again).toEqual({
      REST: [2, 2],
      'REST, sparse': [2, 2],
      'GraphQL, its text by POST': [1, 0],
      'GraphQL, its hash by GET': [1, 1],
    });
  });

  test('who is not there is `not-found`, over both', async () => {
    using http = openHttpClient();
    const missing = { name: 'CallError', code: 'not-found' };
    await expect(restScreen(restUrl, 'profile', { http, userId: 999 })).rejects.toMatchObject(missing);
    await expect(graphqlScreen(graphqlUrl, 'profile', { http, userId: 999 })).rejects.toMatchObject(missing);
  });

  test('a token that nobody knows is refused, over both', async () => {
    using http = openHttpClient({ token: 'stolen' });
    const refused = { code: 'refused', status: 401 };
    await expect(restScreen(restUrl, 'badge', { http })).rejects.toMatchObject(refused);
    await expect(graphqlScreen(graphqlUrl, 'badge', { http })).rejects.toMatchObject(refused);
  });
});

describe('answers that are not what they should be', () => {
  const USER = { user: { name: 'Ada', postCount: 1 } };

  const server = async (answer: RequestListener) => await listen(createServer(answer));
  const json =
    (status: number, body: unknown, headers: Record<string, string> = {}): RequestListener =>
    (_request, response) => {
      response.writeHead(status, { 'Content-Type': GRAPHQL_RESPONSE, ...headers }).end(JSON.stringify(body));
    };

  /** How asking for the badge over GraphQL ends. */
  async function failureOf(answer: RequestListener, options = {}): Promise<CallError> {
    await using stub = await server(answer);
    using http = openHttpClient(options);
    return await graphqlScreen(stub.url, 'badge', { http }).then(
      () => expect.unreachable(),
      (error: CallError) => error,
    );
  }

  test('data with errors is no success, though its status is 200, and what came is not lost', async () => {
    const errors = [{ message: 'too slow', path: ['user', 'posts'] }];
    const failure = await failureOf(json(200, { data: USER, errors }));
    expect(failure).toMatchObject({ code: 'partial', message: 'too slow', status: 200, data: USER });
  });

  test('errors without data: refused, failed, or, where the status says nothing, failed', async () => {
    const body = { errors: [{ message: 'no' }] };
    for (const [status, code] of [
      [400, 'refused'],
      [429, 'refused'],
      [503, 'failed'],
      [200, 'failed'],
    ] as const) {
      expect(await failureOf(json(status, body))).toMatchObject({ code, message: 'no' });
    }
  });

  test('what is not JSON, or not what was agreed on, is `protocol`', async () => {
    const page: RequestListener = (_request, response) => {
      response.writeHead(502, { 'Content-Type': 'text/html' }).end('<h1>Bad gateway</h1>');
    };
    expect(await failureOf(page)).toMatchObject({ code: 'protocol', status: 502 });
    expect(await failureOf(json(200, { data: { user: { name: 'Ada' } } }))).toMatchObject({
      code: 'protocol',
      message: 'postCount is not a number',
    });
  });

  test('an answer that does not come in time is `timeout`, a line that breaks `network`', async () => {
    const half: RequestListener = (_request, response) => {
      response.writeHead(200, { 'Content-Type': GRAPHQL_RESPONSE }).write('{"data":');
    };
    expect(await failureOf(half, { timeoutMs: 100 })).toMatchObject({ code: 'timeout' });
    const cut: RequestListener = (request) => void request.socket.destroy();
    expect(await failureOf(cut)).toMatchObject({ code: 'network' });
  });

  /** Asks twice, and counts what reached the server. */
  async function askTwice(headers: Record<string, string>, { trusted = true } = {}) {
    const asked: (string | undefined)[] = [];
    await using stub = await server((request, response) => {
      asked.push(request.headers['if-none-match']);
      json(200, { data: USER }, headers)(request, response);
    });
    using http = openHttpClient();
    for (let i = 0; i < 2; i++) await graphqlScreen(stub.url, 'badge', { http, trusted });
    return asked;
  }

  test('what is fresh is not asked for again, and what may not be kept is not kept', async () => {
    expect(await askTwice({ 'Cache-Control': 'public, max-age=60' })).toEqual([undefined]);
    expect(await askTwice({ 'Cache-Control': 'public, max-age=60', Age: '60' })).toEqual([undefined, undefined]);
    expect(await askTwice({ 'Cache-Control': 'no-cache, max-age=60', ETag: '"a"' })).toEqual([undefined, '"a"']);
    expect(await askTwice({ 'Cache-Control': 'no-store', ETag: '"a"' })).toEqual([undefined, undefined]);
    // The answer to a POST is not kept, whatever it says: the URL does not tell what was asked.
    expect(await askTwice({ 'Cache-Control': 'max-age=60', ETag: '"a"' }, { trusted: false })).toHaveLength(2);
  });
});
