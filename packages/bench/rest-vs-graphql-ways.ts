/**
 * The ways to a screen, as what crosses the wire: waves of paths, each asked for side by side, and the next when all of it is there.
 * They are taken from the pattern's own client, and replayed by a load generator that costs less than the client would.
 */
import { graphqlScreen, restScreen } from '@patterns/rest-vs-graphql/client';
import { documents, type ScreenName } from '@patterns/rest-vs-graphql/documents';
import { type HttpClient, openHttpClient } from '@patterns/rest-vs-graphql/http-client';
import { GRAPHQL_PATH, GRAPHQL_RESPONSE } from '@patterns/rest-vs-graphql/protocol';
import type { Contestant } from './rest-vs-graphql-server.ts';

export type Waves = readonly (readonly string[])[];

export interface Way {
  readonly server: Contestant;
  /** Header lines, each with its end. */
  readonly lines: string;
  /** Asks for a screen once, and says what was asked. */
  readonly record: (url: string, name: ScreenName) => Promise<Waves>;
}

const JSON_LINES = 'Accept: application/json\r\n';
const GRAPHQL_LINES = `Accept: ${GRAPHQL_RESPONSE}\r\n`;

/** In the order of the tables. */
export const ways = {
  REST: {
    server: 'REST',
    lines: JSON_LINES,
    record: (url, name) => recordClient((http) => restScreen(url, name, { http })),
  },
  'REST, sparse fields': {
    server: 'REST',
    lines: JSON_LINES,
    record: (url, name) => recordClient((http) => restScreen(url, name, { http, sparse: true })),
  },
  'GraphQL, naive': { server: 'GraphQL, naive', lines: GRAPHQL_LINES, record: wholeDocument },
  'GraphQL, read and validated each time': {
    server: 'GraphQL, any document',
    lines: GRAPHQL_LINES,
    record: wholeDocument,
  },
  'GraphQL, trusted document': {
    server: 'GraphQL, trusted documents',
    lines: GRAPHQL_LINES,
    record: (url, name) => recordClient((http) => graphqlScreen(url, name, { http })),
  },
} as const satisfies Record<string, Way>;

export type WayName = keyof typeof ways;

/** By GET as well: else more than the document would differ. */
async function wholeDocument(_url: string, name: ScreenName): Promise<Waves> {
  const query = new URLSearchParams({ query: documents[name], variables: JSON.stringify({ id: '1' }) });
  return [[`${GRAPHQL_PATH}?${query.toString()}`]];
}

async function recordClient(ask: (http: HttpClient) => Promise<unknown>): Promise<Waves> {
  using client = openHttpClient({ caching: false });
  const waves: string[][] = [];
  let underWay = 0;
  await ask({
    ...client,
    async ask(url, question) {
      if (underWay++ === 0) waves.push([]);
      waves.at(-1)!.push(url.pathname + url.search);
      try {
        return await client.ask(url, question);
      } finally {
        underWay--;
      }
    },
  });
  return waves;
}
