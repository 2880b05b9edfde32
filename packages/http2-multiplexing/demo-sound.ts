/**
 * The demo's second half: the page over one connection, what that connection costs when it stands still, and the end of servers
 * in the middle of their work.
 */
import { once } from 'node:events';
import { connect, constants } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import type { Stage } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { openClient } from './client.ts';
import { showTenStreams } from './demo-browser.ts';
import { foldIntoFew, openFold } from './demo-fold.ts';
import { askForPage, oneSession, SIX } from './demo-pages.ts';
import { DELAY_MS, loadPages, measurePages, openLine, openServers, type Server, STALLED } from './demo-stage.ts';
import { EVENTS, ITEMS, itemPath, METRICS } from './protocol.ts';

/** What six connections need at the least: seventeen rounds. */
const SIX_NEED_MS = Math.ceil(ITEMS / SIX) * DELAY_MS;

/** While the server is replaced. */
const REQUESTS = 150;

export async function runSound(stage: Stage): Promise<void> {
  const { slow, quick, another } = await openServers(stage);
  await breakNothing(stage, slow);
  await loadOneWay(stage, slow, quick);
  await stallTheOne(stage, slow);
  // What comes next is started while the browser looks on, which takes seconds.
  const [fresh, fold] = await Promise.all([another(), openFold(stage), openStreams(stage, quick)]);
  await replaceServer(stage, slow, fresh);
  await foldIntoFew(stage, fold);
}

/** What ended the textbook's server. */
async function breakNothing({ story, use, signal }: Stage, { url, ca }: Server): Promise<void> {
  story.tryIt(`curl --http2 --insecure -i ${url}/resource1`);
  const client = use(openClient(url, { ca }));
  story.wire('client', 'server', 'GET /resource3');
  const unknown = await client.request('/resource3');
  story.wire('server', 'client', `${unknown.status}  ${await unknown.text()}`);

  const other = connect(url, { ca });
  use({ [Symbol.asyncDispose]: async () => other.destroy() });
  const stream = other.request({ ':path': EVENTS });
  stream.on('error', () => {}); // its own
  story.wire('other', 'server', `GET ${EVENTS}`);
  await once(stream, 'response');
  story.fault('another client resets its stream: RST_STREAM, INTERNAL_ERROR');
  stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  const isCounted = async () => /INTERNAL_ERROR"\} 1$/m.test(await (await client.request(METRICS)).text());
  await until('the server has counted the reset', isCounted, { signal });
  story.act('server', 'has counted it, in its metrics');
  story.wire('client', 'server', 'GET /resource1');
  const after = await client.request('/resource1');
  story.wire('server', 'client', `${after.status}  ${await after.text()}`);
  story.claim('sound: an unknown path is a 404', unknown.status === 404);
  story.claim('sound: a reset stream ended nothing but itself', after.status === 200 && client.sessions === 1);
}

async function loadOneWay(stage: Stage, slow: Server, quick: Server): Promise<void> {
  const { story } = stage;
  const load = async ({ url, ca }: Server, how: string) => {
    const line = await openLine(stage, url);
    await using way = oneSession(line.proxy.url, ca);
    return await loadPages(stage, way, line, how);
  };
  const slowly = await load(slow, `${DELAY_MS} ms each, HTTP/2, one connection`);
  const quickly = await load(quick, 'no delay, HTTP/2, one connection');
  measurePages(stage, 'one h2', slowly, quickly);
  story.act('client', 'no delay is nothing to wait for side by side: what is left of the time is computing');
  story.claim('HTTP/2: one connection for all of them', slowly.sockets === 1 && quickly.sockets === 1);
  // By arithmetic, not by a race: seventeen rounds take six connections so long on any machine.
  story.claim(
    `HTTP/2: ${ITEMS} that take ${DELAY_MS} ms each sooner than six connections can have them (${SIX_NEED_MS} ms)`,
    slowly.ms < SIX_NEED_MS,
  );
}

/** The price of one road: there is no other. */
async function stallTheOne(stage: Stage, { url, ca }: Server): Promise<void> {
  const { story, signal } = stage;
  const line = await openLine(stage, url);
  await using way = oneSession(line.proxy.url, ca);
  await Promise.all(askForPage(way)); // it is open
  story.fault('the one connection stands still, as after a lost packet');
  line.proxy.stall('down');
  let answered = 0;
  const page = askForPage(way).map((answer) => answer.then(() => answered++));
  await delay(SIX_NEED_MS, undefined, { signal }); // in which six connections would have carried the page
  const meanwhile = answered;
  story.act('client', `has ${meanwhile} of ${ITEMS}: every stream waits for the same connection`);
  line.proxy.flow();
  await Promise.all(page);
  story.act('client', `the connection moves again: ${answered} of ${ITEMS}`);
  story.measure('one h2', { [STALLED]: meanwhile });
  story.claim('HTTP/2: while its connection stood still, nothing was answered', meanwhile === 0 && answered === ITEMS);
}

async function openStreams(stage: Stage, { url }: Server): Promise<void> {
  const seen = await showTenStreams(stage, url, 'HTTP/2', 'one h2');
  if (!seen) return;
  const isAll = seen.open === 10 && seen.another === 'Resource 1';
  stage.story.claim(`Chromium over ${seen.protocol}: ten event streams, and the page goes on`, isAll);
}

/** A server is stopped, and another takes over, with requests under way. */
async function replaceServer(stage: Stage, old: Server, fresh: Server): Promise<void> {
  const { story, use } = stage;
  const line = await openLine(stage, old.url);
  const client = use(openClient(line.proxy.url, { ca: old.ca }));
  const statuses: number[] = [];
  const third = Promise.withResolvers<void>();
  const work = async () => {
    for (let item = 1; item <= REQUESTS / 3; item++) {
      const reply = await client.request(itemPath(item));
      await reply.text();
      if (statuses.push(reply.status) === REQUESTS / 3) third.resolve();
    }
  };
  story.wire('client', 'server', `${REQUESTS} × GET /items/n, three at a time, ${DELAY_MS} ms each`);
  const working = Promise.all([work(), work(), work()]);
  await Promise.race([third.promise, working]);
  story.fault(`SIGTERM for the server after ${REQUESTS / 3} of them; the balancer sends new connections to another`);
  line.proxy.target(fresh.url);
  const { code } = await old.program.kill('SIGTERM');
  story.wire('server', 'client', `GOAWAY; it finishes what is open, and has exited with code ${code}`);
  await working;
  const failed = statuses.filter((status) => status !== 200).length;
  story.act(
    'client',
    `has ${statuses.length} answers, ${failed} failed, over ${client.sessions} connections, one after the other`,
  );
  story.measure('one h2', { [`server replaced: failed, of ${REQUESTS}`]: failed });
  story.claim(
    'sound: the server was stopped in the middle, and not one request failed',
    failed === 0 && code === 0 && client.sessions === 2,
  );
}
