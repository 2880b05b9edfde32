/**
 * An app with three screens (`screens.ts`), over REST or over GraphQL.
 *
 * The difference that bites: over REST the status says whether it went well. Over GraphQL an answer may hold data and errors
 * at once, and its status may be 200: a client that does not look at `errors` shows half a screen and believes it whole.
 */
import { main } from '@patterns/kit/main';
import { CallError } from './call-error.ts';
import { documentId, documents, type ScreenName } from './documents.ts';
import { type Answer, type Cost, type HttpClient, openHttpClient } from './http-client.ts';
import { GRAPHQL_PATH, GRAPHQL_RESPONSE, POSTS, USERS } from './protocol.ts';
import { asList, asObject, type Json, textAt } from './read-json.ts';
import { graphqlScreens, type Rest, restScreens, type Screens } from './screens.ts';

export interface ScreenOptions {
  http: HttpClient;
  /** Whose badge and profile. */
  userId?: number;
}

// #region rest
/** Gets a screen over REST. `sparse`: asks for the fields that it uses and no others. @throws {CallError} */
export function restScreen<Name extends ScreenName>(
  url: string,
  name: Name,
  { http, userId = 1, sparse = false }: ScreenOptions & { sparse?: boolean },
): Promise<Screens[Name]> {
  const get = async (path: string, fields: readonly string[], limit?: number): Promise<unknown> => {
    const at = new URL(path, url);
    if (limit !== undefined) at.searchParams.set('limit', `${limit}`);
    if (sparse) at.search += `${at.search && '&'}fields=${fields.join(',')}`;
    return checkRest(await http.ask(at, { headers: { Accept: 'application/json' } }));
  };
  const rest: Rest = {
    user: async (id, fields) => asObject(await get(`${USERS}/${id}`, fields), 'user'),
    posts: async (limit, fields) => asList(await get(POSTS, fields, limit), 'posts'),
    postsOf: async (id, limit, fields) => asList(await get(`${USERS}/${id}${POSTS}`, fields, limit), 'posts'),
    commentsOn: async (id, limit, fields) => asList(await get(`${POSTS}/${id}/comments`, fields, limit), 'comments'),
  };
  return restScreens[name](rest, userId);
}

function checkRest({ status, body }: Answer): unknown {
  if (status === 200) return body;
  throw new CallError(codeOf(status), detailOf(status, body), { status });
}
// #endregion

// #region graphql
/**
 * Gets a screen over GraphQL. `trusted`: sends the hash of the document instead of its text, which makes the question a GET
 * that may be cached.
 * @throws {CallError} `partial` when only some of it could be had: that is in its `data`.
 */
export async function graphqlScreen<Name extends ScreenName>(
  url: string,
  name: Name,
  { http, userId = 1, trusted = true }: ScreenOptions & { trusted?: boolean },
): Promise<Screens[Name]> {
  const at = new URL(GRAPHQL_PATH, url);
  const variables = documents[name].includes('$id') ? { id: `${userId}` } : {};
  const headers = { Accept: GRAPHQL_RESPONSE };
  if (trusted) {
    at.search = `documentId=${documentId(documents[name])}`;
    if (documents[name].includes('$id')) at.search += `&variables=${encodeURIComponent(JSON.stringify(variables))}`;
    return graphqlScreens[name](checkGraphql(await http.ask(at, { headers })));
  }
  const body = JSON.stringify({ query: documents[name], variables });
  const question = { method: 'POST', headers: { ...headers, 'Content-Type': 'application/json' }, body } as const;
  return graphqlScreens[name](checkGraphql(await http.ask(at, question)));
}

/** Whether it went well is said by `errors`, and by the status only where there is no `data`. */
function checkGraphql({ status, body }: Answer): Json {
  const { data, errors } = asObject(body, 'answer');
  if (errors === undefined && data) return asObject(data, 'data');
  const [error] = asList(errors ?? [], 'errors');
  const message = error ? textAt(error, 'message') : detailOf(status, body);
  if (data) throw new CallError('partial', message, { status, data });
  throw new CallError(status === 200 ? 'failed' : codeOf(status), message, { status });
}
// #endregion

/** Of a problem [RFC 9457]: what HTTP has refused, over GraphQL too, before anybody looked at the document. */
function detailOf(status: number, body: unknown): string {
  const { detail } = asObject(body, 'problem');
  return typeof detail === 'string' ? detail : `status ${status}`;
}

function codeOf(status: number): CallError['code'] {
  if (status === 404) return 'not-found';
  return status < 500 ? 'refused' : 'failed';
}

/** What a screen cost, in a line. */
export function describeCost({ requests, roundTrips, bytes, statements, notModified, notSent }: Cost): string {
  const cached = [notModified && `${notModified} × 304`, notSent && `${notSent} not sent`].filter(Boolean);
  return [
    `${plural(requests, 'request')} in ${plural(roundTrips, 'round trip')}`,
    `${bytes} bytes`,
    plural(statements, 'SQL statement'),
    ...cached,
  ].join(', ');
}

const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;

if (import.meta.main) {
  await main(async (stack, signal) => {
    const [restUrl, graphqlUrl] = process.argv.slice(2);
    if (!restUrl || !graphqlUrl) {
      return console.log('usage: node client.ts <REST url> <GraphQL url>   (start both with: node server.ts)');
    }
    const ways = {
      REST: (name: ScreenName, http: HttpClient) => restScreen(restUrl, name, { http }),
      'REST, sparse': (name: ScreenName, http: HttpClient) => restScreen(restUrl, name, { http, sparse: true }),
      GraphQL: (name: ScreenName, http: HttpClient) => graphqlScreen(graphqlUrl, name, { http }),
    };
    try {
      for (const name of Object.keys(documents) as ScreenName[]) {
        console.log(
          `\n${name}: ${JSON.stringify(await ways.GraphQL(name, stack.use(openHttpClient({ signal })))).slice(0, 100)}`,
        );
        for (const [way, screen] of Object.entries(ways)) {
          const http = stack.use(openHttpClient({ signal })); // an empty cache each time
          await screen(name, http);
          console.log(`  ${way.padEnd(14)} ${describeCost(http.takeCost())}`);
          await screen(name, http);
          console.log(`  ${'  again'.padEnd(14)} ${describeCost(http.takeCost())}`);
        }
      }
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      console.log(`gave up: ${error.code}: ${error.message}`);
      process.exitCode = 1;
    }
  });
}
