/**
 * The demo's first half: the textbook's server, and a page of a hundred resources over HTTP/1.1, as it was for twenty years.
 */
import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import type { Stage } from '@patterns/kit/demo';
import { startProcess } from '@patterns/kit/testing/processes';
import { within } from '@patterns/kit/testing/until';
import { showTenStreams } from './demo-browser.ts';
import { askForPage, oneEach, SIX, sixKept } from './demo-pages.ts';
import { DELAY_MS, loadPages, measurePages, openLine, openServers, PAGES, type Server, STALLED } from './demo-stage.ts';
import { ITEMS } from './protocol.ts';

const PATIENCE_MS = 1_000;

export async function runNaive(stage: Stage): Promise<void> {
  await breakTheTextbook(stage);
  const { slow, quick } = await openServers(stage);
  await loadBothWays(stage, slow, quick);
  await stallOneOfSix(stage, slow);
  await openStreams(stage, quick);
}

/** A path that it does not know, and then a client that resets its stream. */
async function breakTheTextbook({ story, signal, use }: Stage): Promise<void> {
  const server = use(startProcess(new URL('naive.ts', import.meta.url), { signal }));
  const url = await server.url(30_000);
  const open = () => {
    const session = connect(url, { rejectUnauthorized: false }); // nobody vouches for its certificate
    session.on('error', () => {}); // that its connection was lost is what is shown
    use({ [Symbol.asyncDispose]: async () => session.destroy() });
    return session;
  };
  const client = open();
  story.wire('client', 'server', 'GET /resource1');
  story.wire('server', 'client', `${await ask(client, '/resource1')}`);
  story.wire('client', 'server', 'GET /resource3');
  const unknown = await ask(client, '/resource3');
  story.act('client', unknown === undefined ? `no answer within ${PATIENCE_MS} ms: gave up` : `${unknown}`);

  const other = open();
  const stream = other.request({ ':path': '/resource3' });
  stream.on('error', () => {});
  story.wire('other', 'server', 'GET /resource3');
  await ask(other, '/resource1'); // sent later: when it is answered, the other one has arrived
  story.fault('another client resets its stream: RST_STREAM, INTERNAL_ERROR');
  const lost = once(client, 'close');
  stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  const [{ code }] = await within('the server’s end', 10_000, Promise.all([server.exited, lost]));
  const error = /^ *code: '(\w+)'/m.exec(server.output())?.[1] ?? '';
  story.act('server', `has exited with code ${code}: ${error}, which nobody handled`);
  story.act('client', 'has lost its connection, and had done nothing');
  story.claim('naive: a path that the server does not know is never answered', unknown === undefined);
  story.claim('naive: one client’s reset stream ended the server for all', code === 1 && error !== '');
}

/** @returns the status; undefined when there was none in time. */
async function ask(session: ClientHttp2Session, path: string): Promise<number | undefined> {
  const stream = session.request({ ':path': path });
  try {
    const [headers] = await once(stream, 'response', { signal: AbortSignal.timeout(PATIENCE_MS) });
    stream.resume();
    return headers[':status'];
  } catch {
    stream.close(constants.NGHTTP2_CANCEL);
    return undefined;
  }
}

async function loadBothWays(stage: Stage, slow: Server, quick: Server): Promise<void> {
  const { story } = stage;
  const load = async ({ url, ca }: Server, open: typeof oneEach, how: string) => {
    const line = await openLine(stage, url);
    await using way = open(line.proxy.url, ca);
    return await loadPages(stage, way, line, how);
  };
  const pool = (url: string, ca: string) => sixKept([url], ca);
  const eachSlow = await load(slow, oneEach, `${DELAY_MS} ms each, HTTP/1.1, a connection for each`);
  const eachQuick = await load(quick, oneEach, 'no delay, HTTP/1.1, a connection for each');
  const sixSlow = await load(slow, pool, `${DELAY_MS} ms each, HTTP/1.1, six connections kept`);
  const sixQuick = await load(quick, pool, 'no delay, HTTP/1.1, six connections kept');
  measurePages(stage, 'one each', eachSlow, eachQuick);
  measurePages(stage, 'six kept', sixSlow, sixQuick);
  // A hundred over six is seventeen rounds: no less, however fast the machine is.
  const rounds = Math.ceil(ITEMS / SIX);
  story.claim(`HTTP/1.1, a connection for each: ${eachSlow.sockets} connections`, eachSlow.sockets === PAGES * ITEMS);
  story.claim(
    `HTTP/1.1, six connections: ${rounds} rounds of ${DELAY_MS} ms`,
    sixSlow.sockets === SIX && sixSlow.ms >= rounds * DELAY_MS,
  );
}

/** What a lost packet does to a connection, for longer: of six, one stands still. */
async function stallOneOfSix(stage: Stage, { url, ca }: Server): Promise<void> {
  const { story } = stage;
  const bad = await openLine(stage, url);
  const good = await openLine(stage, url);
  await using way = sixKept([bad, good, good, good, good, good].map(({ proxy }) => proxy.url) as [string], ca);
  await Promise.all(askForPage(way)); // all six are open
  story.fault('one of the six connections stands still, as after a lost packet');
  bad.proxy.stall('down');
  let answered = 0;
  const { promise: allOthers, resolve } = Promise.withResolvers<void>();
  const page = askForPage(way).map(async (answer) => {
    await answer;
    if (++answered === ITEMS - 1) resolve();
  });
  await allOthers;
  const meanwhile = answered;
  story.act('client', `has ${meanwhile} of ${ITEMS}: the other five carry on`);
  bad.proxy.flow();
  await Promise.all(page);
  story.measure('six kept', { [STALLED]: meanwhile });
  story.claim(`HTTP/1.1: while one of six stood still, ${meanwhile} of ${ITEMS} were answered`, bad.sockets() === 1);
}

async function openStreams(stage: Stage, { url }: Server): Promise<void> {
  const seen = await showTenStreams(stage, url, 'HTTP/1.1', 'six kept');
  if (!seen) return;
  const isFull = seen.open === SIX && seen.another === 'waits';
  stage.story.claim(`Chromium over ${seen.protocol}: six event streams, and the page can ask for nothing more`, isFull);
}
