/**
 * The naive half: a list and its N+1, a hostile query that is carried out to the end, a write by a link, an error that shows
 * the SQL, and the quick mend that shows one viewer what another may see.
 */
import type { Stage } from '@patterns/kit/demo';
import { graphqlScreen } from './client.ts';
import { columnOf, count, type Measures, measureWay } from './demo-measure.ts';
import { askRaw, openBlog } from './demo-stage.ts';
import { openHttpClient } from './http-client.ts';

/** Two names for one thing, and a way down that comes by the authors again and again: 188 bytes. */
export const HOSTILE =
  'query{a:posts(first:20){...P}b:posts(first:20){...P}}fragment P on PostConnection{nodes{comments(first:20){nodes{author' +
  '{posts(first:20){nodes{comments(first:20){nodes{author{name}}}}}}}}}}';

const BADGE = '{ user(id: 1) { name postCount } }';
const EMAIL = '{ user(id: 1) { email } }';

/** What the sound half compares itself with, when there was a naive half. */
export const naiveFigures: { measures?: Measures; hostileStatements?: number } = {};

export async function runNaive(stage: Stage): Promise<void> {
  const { story, signal } = stage;
  const blog = await openBlog(stage);
  const line = await blog.startNaive();
  const { url } = line;
  using http = openHttpClient({ signal });

  await graphqlScreen(url, 'feed', { http, trusted: false });
  const { statements } = http.takeCost();
  story.act(
    'PostgreSQL',
    `${statements} statements: one for the posts, and then one by one: authors, comments, their authors`,
  );
  const measures = await measureWay(
    { line, screen: (name, http) => graphqlScreen(url, name, { http, trusted: false }) },
    signal,
  );

  const alone = await askRaw(line.directUrl, BADGE);
  story.fault(
    `a stranger sends ${HOSTILE.length} bytes: two aliases, and posts, comments, authors, posts, comments, authors`,
  );
  let isOver = false;
  const attack = askRaw(url, HOSTILE).finally(() => {
    isOver = true;
  });
  let worstMs = 0;
  while (!isOver) worstMs = Math.max(worstMs, (await askRaw(line.directUrl, BADGE)).ms);
  const hostile = await attack;
  story.act('PostgreSQL', `${count(hostile.statements)} statements, in ${Math.round(hostile.ms)} ms`);
  story.act(
    'client',
    `somebody else, meanwhile: a badge takes up to ${Math.round(worstMs)} ms; before it took ${Math.round(alone.ms)} ms`,
  );

  story.fault('a link that writes: whoever opens it, or has an image with this address, posts');
  const written = await askRaw(url, 'mutation { createPost(authorId: 1, title: "Buy now", body: "") { id } }', {
    method: 'GET',
  });

  story.fault('an id that is no number');
  const raw = await askRaw(url, '{ user(id: "x") { name } }');

  story.fault('the quick mend: one DataLoader for the whole process');
  const mended = await blog.startNaive({ SHARED_LOADER: '1' });
  await askRaw(mended.url, EMAIL, { token: 'token-of-1' });
  const leaked = await askRaw(mended.url, EMAIL);
  story.act('client', 'nobody in particular has read the address of user 1: the loader remembered what user 1 may see');

  naiveFigures.measures = measures;
  naiveFigures.hostileStatements = hostile.statements;
  story.measure('GraphQL, naive', {
    ...columnOf(measures),
    'hostile query: status': hostile.status,
    'hostile query: SQL statements': count(hostile.statements),
  });
  story.claim(`naive: ${statements} statements for one screen of ten posts`, statements > 40);
  story.claim(
    `naive: ${HOSTILE.length} bytes made the server send ${count(hostile.statements)} statements`,
    hostile.status === 200 && hostile.statements > 2_000,
  );
  story.claim('naive: a GET has written a post', written.text.includes('"createPost":{"id"'));
  story.claim('naive: an error has shown the SQL', raw.text.includes('select * from blog.users'));
  story.claim(
    'naive: a loader for all showed one viewer what only another may see',
    leaked.text.includes('@example.com'),
  );
}
