/** A hostile document is refused by reading it: with a 400 that says why, and not one SQL statement. */
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { trustedDocuments } from '../documents.ts';
import { LIMITS } from '../limits.ts';
import { call, startServer } from './graphql-blog.ts';

requirePostgres()('limits', () => {
  let server: Awaited<ReturnType<typeof startServer>>;
  beforeAll(async () => {
    server = await startServer();
  });
  afterAll(() => server[Symbol.asyncDispose]());

  const post = (body: string) =>
    call(server.url, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body });
  const nested = (levels: number, field: string) => `${`${field} { `.repeat(levels)}id${' }'.repeat(levels)}`;
  const page = 'posts(first: 1) { nodes';

  const hostile: [title: string, query: string, code: string | undefined, message: RegExp][] = [
    ['too deep', `{ ${nested(5, page)}${' }'.repeat(5)} }`, 'TOO_COMPLEX', /limit of depth: 8/],
    [
      'too deep by a fragment in a fragment',
      `{ post(id: 1) { ...A } } fragment A on Post { author { posts { nodes { ...B } } } }
       fragment B on Post { author { posts { nodes { author { posts { nodes { id } } } } } } }`,
      'TOO_COMPLEX',
      /depth/,
    ],
    [
      'endlessly deep by a fragment that spreads itself',
      '{ post(id: 1) { ...A } } fragment A on Post { author { posts { nodes { ...A } } } }',
      'TOO_COMPLEX',
      /depth/,
    ],
    [
      'too many aliases',
      `{ ${Array.from({ length: 11 }, (_, n) => `a${n}: viewer { id }`).join(' ')} }`,
      'TOO_COMPLEX',
      /aliases: 10/,
    ],
    [
      'too many aliases by spreading few of them often',
      `{ a: viewer { ...A } b: viewer { ...A } c: viewer { ...A } } fragment A on User { d: id e: id f: id }`,
      'TOO_COMPLEX',
      /aliases/,
    ],
    ['too many directives', `{ viewer ${'@include(if: true) '.repeat(11)} { id } }`, 'TOO_COMPLEX', /directives: 10/],
    ['more than one operation', 'query A { viewer { id } } query B { viewer { id } }', 'TOO_COMPLEX', /operations: 1/],
    ['too many tokens', `{ ${'viewer { id } '.repeat(125)} }`, undefined, /more than 500 tokens/],
    ['too long', `# ${'x'.repeat(4_000)}\n{ viewer { id } }`, undefined, /more than 4000/],
    ['too wide', `{ viewer { ${'name '.repeat(100)} } }`, 'TOO_COMPLEX', /fields: 100/],
    [
      'too wide in a fragment that is not even used',
      `{ viewer { id } } fragment A on User { ${'name '.repeat(100)} }`,
      'TOO_COMPLEX',
      /fields: 100/,
    ],
    [
      'too large a page',
      '{ posts(first: 101) { nodes { id } } }',
      'PAGE_SIZE',
      /posts\(first:\) must be from 1 to 100/,
    ],
    ['a page of nothing', '{ posts(first: 0) { nodes { id } } }', 'PAGE_SIZE', /from 1 to 100/],
    [
      'pages within pages',
      '{ posts(first: 100) { nodes { comments(first: 100) { nodes { author { name } } } } } }',
      'TOO_COSTLY',
      /20201 objects: the limit is 1000/,
    ],
    [
      'pages within pages without a size said, behind a fragment',
      `{ a: posts { ...P } b: posts { ...P } } fragment P on PostConnection { nodes { author { posts { nodes { id comments { nodes { id } } } } } } }`,
      'TOO_COSTLY',
      /the limit is 1000/,
    ],
  ];

  describe.each(hostile)('a document that is %s', (_title, query, code, message) => {
    test('is refused with 400, before one statement', async () => {
      const { status, json, statements } = await server.ask(query);
      expect([status, statements]).toEqual([400, 0]);
      expect(json.data).toBeUndefined();
      expect(json.errors?.[0]?.message).toMatch(message);
      expect(json.errors?.[0]?.extensions?.code).toBe(code);
    });
  });

  test('the size of a page is limited in a variable as well', async () => {
    const { status, json } = await server.ask('query Q($n: Int!) { posts(first: $n) { nodes { id } } }', {
      variables: { n: 1_000_000 },
    });
    expect([status, json.errors?.[0]?.extensions?.code]).toEqual([400, 'PAGE_SIZE']);
  });

  test('a bomb of fragments, each spreading the next one twice, is weighed as fast as it is read', async () => {
    const fragments = Array.from({ length: 40 }, (_, n) => `fragment F${n} on User { ...F${n + 1} ...F${n + 1} }`);
    const query = `{ viewer { ...F0 } } ${fragments.join(' ')} fragment F40 on User { a: id }`;
    const { status, json } = await server.ask(query);
    expect(status).toBe(400);
    expect(json.errors?.[0]?.message).toMatch(/fields|aliases/);
  });

  test('a batch of operations is refused', async () => {
    const { status, statements } = await post(JSON.stringify([{ query: '{ viewer { id } }' }]));
    expect([status, statements]).toEqual([400, 0]);
  });

  test('a body that is too large is refused before it is all read', async () => {
    const { status } = await post(JSON.stringify({ query: '{ viewer { id } }', variables: { x: 'x'.repeat(70_000) } }));
    expect(status).toBe(413);
  });

  test('the schema is not to be asked for, nor guessed at by misspelling, unless it is for development', async () => {
    const asked = await server.ask('{ __schema { types { name } } }');
    expect([asked.status, asked.statements]).toEqual([400, 0]);
    const misspelt = await server.ask('{ viewr { id } }');
    expect(misspelt.json.errors?.[0]?.message).not.toMatch(/Did you mean/);
    await using development = await startServer({ introspection: true });
    expect((await development.ask('{ __schema { types { name } } }')).json.data.__schema.types).not.toEqual([]);
    expect((await development.ask('{ viewr { id } }')).json.errors?.[0]?.message).toMatch(/Did you mean "viewer"/);
  });

  test('what is refused is counted, by its code, and what is admitted by its cost', async () => {
    await using counting = await startServer();
    await counting.ask('{ posts(first: 1000) { nodes { id } } }');
    await counting.ask('{ nothing }');
    await counting.ask('{ viewer { id } }');
    const { text } = await call(new URL('/metrics', counting.url).href);
    expect(text).toContain('graphql_refused_total{code="PAGE_SIZE"} 1');
    expect(text).toContain('graphql_refused_total{code="INVALID_DOCUMENT"} 1');
    expect(text).toContain('graphql_cost_sum 1\n');
  });

  test('what our own client asks is far below every limit', async () => {
    for (const text of trustedDocuments.values()) expect(text.length).toBeLessThan(LIMITS.length / 4);
    // Each limit is halved, and they are trusted still: a document that is not valid would keep the server from starting.
    const halves = { length: 2_000, tokens: 250, depth: 7, fields: 50, aliases: 5, directives: 5, cost: 500 };
    await using strict = await startServer({ limits: halves, trustedDocuments });
    expect(strict.url).toMatch(/^http/);
  });
});

requirePostgres()('the rate', () => {
  test('is a budget of cost per client: a dear question takes more of it, and 429 says when to come back', async () => {
    await using server = await startServer({ rate: { capacity: 30, perSecond: 0.1 } });
    const statusOf = async (query: string, token?: string) => (await server.ask(query, token ? { token } : {})).status;
    const dear = '{ posts(first: 10) { nodes { author { id } } } }'; // 1 + 10 + 10
    expect(await statusOf(dear)).toBe(294); // executed, on a database without tables
    const refused = await server.ask(dear);
    expect([refused.status, refused.statements]).toEqual([429, 0]);
    expect(Number(refused.headers.get('Retry-After'))).toBeGreaterThan(60);
    expect(await statusOf('{ viewer { id } }')).toBe(200); // cheap enough for what is left
    expect(await statusOf(dear, 'one')).toBe(294); // somebody else's budget
  });

  test('without end is a rate, too', async () => {
    await using endless = await startServer({ rate: { capacity: Infinity, perSecond: Infinity } });
    for (let n = 0; n < 3; n++) expect((await endless.ask('{ viewer { id } }')).status).toBe(200);
  });
});
