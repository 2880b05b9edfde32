/** Comments as they are written, over Server-Sent Events: nothing lost, nothing twice, and no stream for ever. */
import { connect } from 'node:net';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { noLeaks } from '@patterns/kit/testing/leaks';
import { until } from '@patterns/kit/testing/until';
import { startRedis } from '@patterns/services/start-redis';
import { requireExtra, requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CommentAdded, topicOf } from '../comment-feed.ts';
import { startGraphqlBlog, startServer } from './graphql-blog.ts';

interface StreamEvent {
  readonly event?: string;
  readonly id?: string;
  readonly data?: string;
  readonly comment?: string;
}

/** Opens a subscription without any client code of ours; its events and comments as they come. */
async function subscribe(url: string, query: string, headers: Record<string, string> = {}) {
  const leave = new AbortController();
  const response = await fetch(url, {
    method: 'POST',
    headers: { Accept: 'text/event-stream', 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ query }),
    signal: leave.signal,
  });
  const events = EventQueue.from(() => readEvents(response.body!));
  return {
    response,
    events,
    /** The bodies of the next comments. */
    bodies: async (count: number) => (await events.take(count)).map(({ data = '{}' }) => bodyOf(data)),
    async [Symbol.asyncDispose]() {
      leave.abort();
      await events[Symbol.asyncDispose]();
    },
  };
}

const bodyOf = (data: string) =>
  (JSON.parse(data) as { data: { commentAdded: { body: string } } }).data.commentAdded.body;

/** Events of the type `next` and `complete`; the lines that only set a cursor or a delay are not told. */
async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamEvent> {
  let buffered = '';
  for await (const text of body.pipeThrough(new TextDecoderStream())) {
    buffered += text;
    for (let end = buffered.indexOf('\n\n'); end !== -1; end = buffered.indexOf('\n\n')) {
      const fields = buffered
        .slice(0, end)
        .split('\n')
        .map((line) => line.split(/: ?(.*)/s, 2));
      buffered = buffered.slice(end + 2);
      const event: StreamEvent = Object.fromEntries(
        fields.map(([name, value]) => [name || 'comment', value]),
      ) as StreamEvent;
      if (event.event || event.comment !== undefined) yield event;
    }
  }
}

const COMMENTS = 'subscription { commentAdded(post: 7) { body author { name } } }';
const writeOn = (post: number) =>
  `mutation C($body: String!) { createComment(input: { post: ${post}, body: $body }) { comment { id } } }`;

requirePostgres()('subscriptions', () => {
  let blog: Awaited<ReturnType<typeof startGraphqlBlog>>;
  beforeAll(async () => {
    blog = await startGraphqlBlog();
  });
  afterAll(() => blog[Symbol.asyncDispose]());

  const write = async (body: string, post = 7) => {
    const { json } = await blog.ask(writeOn(post), { token: 'one', variables: { body } });
    expect(json.errors).toBeUndefined();
  };
  const comment = (n: number): CommentAdded => ({
    id: 1_000_000 + n,
    postId: 7,
    authorId: 1 + (n % 9),
    body: `number ${n}`,
    createdAt: '2026-01-01T00:00:00.000Z',
  });

  test('a comment reaches whoever has subscribed to its post when it is committed, with what they asked for, and nobody else', async () => {
    await using stream = await subscribe(blog.url, COMMENTS);
    await using other = await subscribe(blog.url, COMMENTS.replace('7', '8'));
    expect(stream.response.headers.get('Content-Type')).toBe('text/event-stream; charset=utf-8');
    await write('to another post', 8);
    await write('first');
    const { event, id, data } = await stream.events.next();
    expect(event).toBe('next');
    expect(id).toMatch(/^\d+-\d+$/);
    const { body, author } = (JSON.parse(data!) as { data: { commentAdded: { body: string; author: unknown } } }).data
      .commentAdded;
    expect(body).toBe('first');
    expect(author).toEqual({ name: expect.any(String) });
    expect(await other.bodies(1)).toEqual(['to another post']);
    expect(await blog.query("select body from blog.comments where body = 'first'")).toHaveLength(1);
  });

  test('resumes after the last event seen, at whichever server, without gap or repetition, while comments go on', async () => {
    await using feed = new MemoryFeed<CommentAdded>();
    const { databaseUrl } = blog;
    await using here = await startServer({ databaseUrl, feed });
    await using there = await startServer({ databaseUrl, feed });
    const append = async (from: number, to: number) => {
      for (let n = from; n < to; n++) await feed.append(topicOf(7), comment(n));
    };
    const seen: string[] = [];
    let cursor: string | undefined;
    {
      await using stream = await subscribe(here.url, COMMENTS);
      await append(0, 20);
      for (const { id, data } of await stream.events.take(5)) {
        cursor = id;
        seen.push(bodyOf(data!));
      }
    } // cut off, with more on the way
    const opening = subscribe(there.url, COMMENTS, { 'Last-Event-ID': cursor! });
    await append(20, 40);
    await using resumed = await opening;
    seen.push(...(await resumed.bodies(35)));
    expect(seen).toEqual(Array.from({ length: 40 }, (_, n) => `number ${n}`));
  });

  test('what was loaded for one event is loaded anew for the next', async () => {
    await using stream = await subscribe(blog.url, COMMENTS);
    const names: string[] = [];
    for (const name of ['Before', 'After']) {
      await blog.query(`update blog.users set name = '${name}' where id = 1`);
      await write(name);
      const { data } = await stream.events.next();
      names.push(
        (JSON.parse(data!) as { data: { commentAdded: { author: { name: string } } } }).data.commentAdded.author.name,
      );
    }
    expect(names).toEqual(['Before', 'After']);
  });

  test('an error of the request is an event and the end, since that is what the client can show', async () => {
    const [draft] = await blog.query<{ id: number }>(
      'select id from blog.posts where author_id = 1 and not is_published limit 1',
    );
    const refused: [string, RegExp][] = [
      ['subscription { nothing }', /Cannot query field/],
      ['{ viewer { id } }', /only a subscription/],
      [`subscription { commentAdded(post: ${draft!.id}) { id } }`, /no such post/], // a draft is its author's alone
      [COMMENTS.replace('7', '7x'), /Syntax Error/],
      [
        `subscription { commentAdded(post: 7) { ${'author { posts(first: 100) { nodes { '.repeat(2)} id ${'} } } '.repeat(2)} } }`,
        /limit/,
      ],
    ];
    for (const [query, message] of refused) {
      await using stream = await subscribe(blog.url, query);
      const [next, complete] = await stream.events.take(2);
      expect([stream.response.status, next!.event, complete!.event]).toEqual([200, 'next', 'complete']);
      expect(next!.data).toMatch(message);
    }
    const overJson = await blog.ask(COMMENTS);
    expect([overJson.status, overJson.json.errors?.[0]?.message]).toEqual([
      400,
      expect.stringMatching(/text\/event-stream/),
    ]);
  });

  test('a malformed cursor is 400, and one that has expired 410', async () => {
    await using feed = new MemoryFeed<CommentAdded>({ retain: 2 });
    await using server = await startServer({ databaseUrl: blog.databaseUrl, feed });
    const ids: string[] = [];
    for (let n = 0; n < 5; n++) ids.push((await feed.append(topicOf(7), comment(n))).id);
    for (const [cursor, status] of [
      ['yesterday', 400],
      [ids[0]!, 410],
    ] as const) {
      await using stream = await subscribe(server.url, COMMENTS, { 'Last-Event-ID': cursor });
      expect([cursor, stream.response.status]).toEqual([cursor, status]);
    }
  });

  test('a silent stream is kept alive by a heartbeat', async () => {
    await using server = await startServer({ databaseUrl: blog.databaseUrl, heartbeatMs: 20 });
    await using stream = await subscribe(server.url, COMMENTS);
    expect(await stream.events.next()).toEqual({ comment: '' });
  });

  test('beyond the most streams there may be, 503 and when to come back', async () => {
    await using server = await startServer({ databaseUrl: blog.databaseUrl, maxStreams: 1 });
    await using _one = await subscribe(server.url, COMMENTS);
    await using two = await subscribe(server.url, COMMENTS);
    expect([two.response.status, two.response.headers.get('Retry-After')]).toEqual([503, '5']);
  });

  test('a reader that does not read is cut off, and what waits for it is bounded', async () => {
    await using feed = new MemoryFeed<CommentAdded>();
    await using server = await startServer({ databaseUrl: blog.databaseUrl, feed, maxPending: 10 });
    const { hostname, port } = new URL(server.url);
    const socket = connect(Number(port), hostname).on('error', () => {});
    const closed = Promise.withResolvers<void>();
    socket.on('close', () => closed.resolve()).pause();
    const query = encodeURIComponent('subscription { commentAdded(post: 7) { body } }');
    socket.write(`GET /graphql?query=${query} HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n`);
    await until('a follower', () => feed.followers === 1);
    const big = { ...comment(1), body: 'x'.repeat(100_000) };
    await until('the cut', async () => {
      // Fewer at a time than may wait: they leave for as long as the sockets on the way take them.
      for (let n = 0; n < 5; n++) await feed.append(topicOf(7), big);
      return feed.followers === 0;
    });
    const metrics = async () => (await fetch(new URL('/metrics', server.url))).text();
    await until('no stream', async () => /^graphql_streams 0$/m.test(await metrics()));
    socket.resume(); // only now does it see what has become of it
    await closed.promise;
  });

  test('leaving frees everything, and a server that stops ends its streams and says when to come back', async () => {
    await using _leaks = noLeaks();
    await using feed = new MemoryFeed<CommentAdded>();
    const server = await startServer({ databaseUrl: blog.databaseUrl, feed });
    {
      await using _left = await subscribe(server.url, COMMENTS);
      await until('a follower', () => feed.followers === 1);
    }
    await until('no follower', () => feed.followers === 0);
    const response = await fetch(`${server.url}?query=${encodeURIComponent(COMMENTS)}`, {
      headers: { Accept: 'text/event-stream' },
    });
    const text = response.text();
    await server[Symbol.asyncDispose]();
    expect(await text).toMatch(/^retry: 2000\n\nid: [\d-]+\n\nretry: \d+\n\n$/);
    expect(feed.followers).toBe(0);
  });
});

requireExtra('redis')('subscriptions over Redis', () => {
  test('a comment that is written at one server reaches a subscriber at another', async () => {
    await using redis = await startRedis(); // the pattern needs none: its demo has one server process
    const options = { url: redis.url, key: 'comments' };
    await using hereFeed = new RedisFeed<CommentAdded>(options);
    await using thereFeed = new RedisFeed<CommentAdded>(options);
    await using here = await startGraphqlBlog({ feed: hereFeed });
    await using there = await startServer({ databaseUrl: here.databaseUrl, feed: thereFeed });
    await using stream = await subscribe(there.url, COMMENTS);
    expect(stream.response.status).toBe(200);
    await here.ask(writeOn(7), { token: 'one', variables: { body: 'from here' } });
    expect(await stream.bodies(1)).toEqual(['from here']);
  });
});
