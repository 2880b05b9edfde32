/**
 * A server process of the rest-vs-graphql benchmark: `node rest-vs-graphql-server.ts <server>`, over the blog in DATABASE_URL. The two
 * GraphQL servers differ in what they know beforehand: one knows the documents, the other reads and validates each of them anew.
 */
import { MemoryFeed } from '@patterns/feed/memory-feed';
import { trustedDocuments } from '@patterns/rest-vs-graphql/documents';
import { startGraphql } from '@patterns/rest-vs-graphql/graphql';
import { startNaiveServer } from '@patterns/rest-vs-graphql/naive';
import { startRest } from '@patterns/rest-vs-graphql/rest';
import { answer } from './processes.ts';

const databaseUrl = process.env.DATABASE_URL!;

/** Else the load would be told after a second to come back later. */
const rate = { capacity: 1e12, perSecond: 1e12 };

const servers = {
  REST: () => startRest({ databaseUrl }),
  'GraphQL, any document': () => startGraphql({ databaseUrl, rate, feed: new MemoryFeed() }),
  'GraphQL, trusted documents': () => startGraphql({ databaseUrl, rate, feed: new MemoryFeed(), trustedDocuments }),
  'GraphQL, naive': () => startNaiveServer({ databaseUrl }),
} satisfies Record<string, () => Promise<{ url: string }>>;

export type Contestant = keyof typeof servers;

const { url } = await servers[process.argv[2] as Contestant]();

const handlers = { url: () => url };
export type BlogServer = typeof handlers;
answer(handlers);
