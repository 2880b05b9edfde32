/**
 * The sound half: the same screens by REST and by GraphQL with what it takes to run it, the same attacks, and then the table that
 * says what each way costs, near and far, the first time and the second.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Stage } from '@patterns/kit/demo';
import { graphqlScreen, restScreen } from './client.ts';
import { columnOf, count, FAR_MS, type Measures, measureWay, SCREENS } from './demo-measure.ts';
import { HOSTILE, naiveFigures } from './demo-naive.ts';
import { askRaw, openBlog } from './demo-stage.ts';
import { openHttpClient } from './http-client.ts';
import { GRAPHQL_PATH, POSTS } from './protocol.ts';

export async function runSound(stage: Stage): Promise<void> {
  const { story, signal } = stage;
  const blog = await openBlog(stage);
  const { rest, graphql } = await blog.startSound();
  story.tryIt(`curl -i '${rest.url}${POSTS}?limit=2&fields=id,title'`);
  story.tryIt(
    `curl -i ${graphql.url}${GRAPHQL_PATH} -H 'Content-Type: application/json' -d '{"query":"{ viewer { name } }"}'`,
  );

  await showScreens(stage, rest.url, graphql.url, (work) => rest.summed(work));

  story.fault(`the same ${HOSTILE.length} bytes of a stranger`);
  const hostile = await askRaw(graphql.url, HOSTILE);
  story.fault('the same link that writes');
  const written = await askRaw(
    graphql.url,
    'mutation { createPost(input: { title: "Buy now", body: "" }) { post { id } } }',
    {
      method: 'GET',
    },
  );
  story.fault('the same id that is no number');
  const raw = await askRaw(graphql.url, '{ user(id: "x") { name } }');
  story.fault('user 1 reads their own address, and then nobody in particular asks for it');
  const own = await askRaw(graphql.url, '{ user(id: 1) { email } }', { token: 'token-of-1' });
  const others = await askRaw(graphql.url, '{ user(id: 1) { email } }');

  story.act('client', `now each screen in each way a few times, with ${FAR_MS} ms of network between and without`);
  const ways: Record<string, Measures> = {
    REST: await measureWay({ line: rest, screen: (name, http) => restScreen(rest.url, name, { http }) }, signal),
    'REST, sparse': await measureWay(
      { line: rest, screen: (name, http) => restScreen(rest.url, name, { http, sparse: true }) },
      signal,
    ),
    GraphQL: await measureWay(
      { line: graphql, screen: (name, http) => graphqlScreen(graphql.url, name, { http }) },
      signal,
    ),
  };
  for (const [name, measures] of Object.entries(ways)) story.measure(name, columnOf(measures));
  story.measure('GraphQL', {
    'hostile query: status': hostile.status,
    'hostile query: SQL statements': hostile.statements,
  });

  story.claim(
    `sound: the hostile query was refused before the first statement`,
    hostile.status === 400 && hostile.statements === 0,
  );
  story.claim('sound: a mutation over GET: 405', written.status === 405);
  story.claim(
    'sound: an error tells what was wrong, and no SQL',
    !/select|blog\./.test(raw.text) && raw.text.includes('"errors"'),
  );
  story.claim(
    'sound: an address is its owner’s to see, whoever asked before',
    own.text.includes('@example.com') && !others.text.includes('@example.com'),
  );
  compare(stage, ways as { REST: Measures; 'REST, sparse': Measures; GraphQL: Measures });
}

/** The screens once in each way, for the reader. */
async function showScreens(
  { story, signal }: Stage,
  restUrl: string,
  graphqlUrl: string,
  summed: <T>(work: () => Promise<T>) => Promise<T>,
): Promise<void> {
  using http = openHttpClient({ signal });
  await restScreen(restUrl, 'badge', { http });
  await restScreen(restUrl, 'badge', { http, sparse: true });
  http.takeCost();
  await summed(() => restScreen(restUrl, 'feed', { http, sparse: true }));
  const overRest = http.takeCost();
  story.act(
    'PostgreSQL',
    `${overRest.statements} statements for ${overRest.requests} requests, one after the other in ${overRest.roundTrips} waits`,
  );
  await graphqlScreen(graphqlUrl, 'feed', { http, trusted: false });
  const overGraphql = http.takeCost();
  story.act('PostgreSQL', `${overGraphql.statements} statements: one for each level, however wide`);
  await graphqlScreen(graphqlUrl, 'feed', { http });
  await graphqlScreen(graphqlUrl, 'feed', { http });
}

/** Whether GraphQL is always better. */
function compare({ story }: Stage, ways: { REST: Measures; 'REST, sparse': Measures; GraphQL: Measures }): void {
  const { REST: rest, 'REST, sparse': sparse, GraphQL: graphql } = ways;
  const { measures: naive } = naiveFigures;
  const same = SCREENS.every((name) =>
    [rest, sparse, ...(naive ? [naive] : [])].every((way) => isDeepStrictEqual(way[name].screen, graphql[name].screen)),
  );
  story.claim('whichever way it came, each screen was the same', same);
  story.claim(
    `GraphQL: ${graphql.feed.cost.statements} statements for the feed${naive ? `, where the naive server sent ${naive.feed.cost.statements}` : ''}`,
    graphql.feed.cost.statements <= 4,
  );
  const waits = rest.feed.cost.roundTrips - graphql.feed.cost.roundTrips;
  story.claim(
    `"GraphQL is always better"? At the feed it is: ${graphql.feed.cost.requests} request for ${rest.feed.cost.requests}, and ${waits} waits less, which are ${waits * FAR_MS} ms on this network`,
    graphql.feed.cost.requests === 1 && waits >= 2 && graphql.feed.cost.bytes < sparse.feed.cost.bytes,
  );
  const [badge, other] = [sparse.badge.cost, graphql.badge.cost];
  story.claim(
    `at the badge it is not: one wait and one statement either way, and REST takes ${count(badge.bytes)} bytes for GraphQL's ${count(other.bytes)}`,
    badge.roundTrips === other.roundTrips && badge.bytes <= other.bytes && badge.statements <= other.statements,
  );
  const { again } = graphql.feed;
  story.claim(
    `once more, the feed is a 304 by either, and by POST all of it: but the ${again.statements} statements were sent to find that out`,
    rest.feed.again.notModified === rest.feed.again.requests &&
      again.notModified === 1 &&
      again.statements === graphql.feed.cost.statements &&
      (naive?.feed.again.notModified ?? 0) === 0,
  );
}
