/**
 * The blog twice: as REST (rest.ts) and as GraphQL (graphql.ts), each on a port of its own, over one database and one feed. Here is
 * nothing but that: read those two.
 */
import type { Feed } from '@patterns/feed/feed';
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { RedisFeed } from '@patterns/feed/redis-feed';
import { envPort, envUrl } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import type { CommentAdded } from './comment-feed.ts';
import { documents, trustedDocuments } from './documents.ts';
import { type GraphqlOptions, startGraphql } from './graphql.ts';
import { GRAPHQL_PATH, POSTS, USERS } from './protocol.ts';
import { type RestOptions, startRest } from './rest.ts';
import { createBlog } from './tables.ts';
import { DEMO_TOKENS, type Tokens } from './viewer.ts';

export interface ServerOptions {
  /** The tables are created there unless they are there. */
  databaseUrl: string;
  /** Carries new comments to their subscribers. In memory, unless there are more servers than these two. */
  feed?: Feed<CommentAdded>;
  tokens?: Tokens;
  rest?: Omit<RestOptions, 'databaseUrl' | 'feed' | 'tokens'>;
  graphql?: Omit<GraphqlOptions, 'databaseUrl' | 'feed' | 'tokens'>;
}

/** Starts both servers. Each URL is without a path. */
export async function startServer({
  databaseUrl,
  feed,
  tokens = new Map(),
  rest,
  graphql,
}: ServerOptions): Promise<{ readonly restUrl: string; readonly graphqlUrl: string } & AsyncDisposable> {
  await createBlog(databaseUrl);
  await using opened = new AsyncDisposableStack();
  const shared = { databaseUrl, tokens, feed: feed ?? opened.use(new MemoryFeed<CommentAdded>()) };
  const restServer = opened.use(await startRest({ ...rest, ...shared }));
  const graphqlServer = opened.use(await startGraphql({ trustedDocuments, ...graphql, ...shared }));
  const running = opened.move();
  return {
    restUrl: restServer.url,
    graphqlUrl: graphqlServer.url,
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

/** DATABASE_URL, or else a database that is gone when `stack` is disposed. */
async function findDatabase(stack: AsyncDisposableStack, signal: AbortSignal): Promise<string> {
  if (process.env.DATABASE_URL) return process.env.DATABASE_URL;
  const postgres = stack.use(await findPostgres({ progress: console.log, signal }));
  console.log(postgres.about);
  return stack.use(await createDatabase(postgres.url, 'blog')).url;
}

/** With REDIS_URL other servers hear of the comments as well. */
function findFeed(stack: AsyncDisposableStack): { feed?: Feed<CommentAdded> } {
  if (!process.env.REDIS_URL) return {};
  const url = envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: 'it says which Redis holds the feed' });
  const key = process.env.FEED_KEY ?? 'patterns:rest-vs-graphql:comments';
  return { feed: stack.use(new RedisFeed<CommentAdded>({ url, key })) };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const databaseUrl = await findDatabase(stack, signal);
    const { restUrl, graphqlUrl } = stack.use(
      await startServer({
        databaseUrl,
        ...findFeed(stack),
        tokens: DEMO_TOKENS,
        rest: { port: envPort() },
        graphql: { port: envPort('GRAPHQL_PORT'), introspection: process.env.INTROSPECTION === '1' },
      }),
    );
    const query = JSON.stringify({ query: documents.profile, variables: { id: '7' } });
    console.log(`listening on ${restUrl}`);
    console.log(`GraphQL on ${graphqlUrl}${GRAPHQL_PATH}`);
    console.log(`in another terminal: curl -i '${restUrl}${USERS}/7'`);
    console.log(`                     curl -i '${restUrl}${POSTS}?limit=3&fields=id,title'`);
    console.log(
      `                     curl -i ${graphqlUrl}${GRAPHQL_PATH} -H 'Content-Type: application/json' -d '${query}'`,
    );
    console.log(`                 or: pnpm -C packages/rest-vs-graphql client ${restUrl} ${graphqlUrl}`);
  });
}
