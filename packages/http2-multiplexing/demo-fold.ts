/**
 * A scene of the demo: the other direction. A hundred streams of one connection become a few HTTP/1.1 connections to two old
 * applications, and the rest of them waits.
 */
import type { Stage } from '@patterns/kit/demo';
import { startProcess } from '@patterns/kit/testing/processes';
import { askForPage, oneSession } from './demo-pages.ts';
import { DELAY_MS, type Line, openLine, openServer, type Server } from './demo-stage.ts';
import { ITEMS } from './protocol.ts';

/** To each of the two. */
const CONNECTIONS = 4;

export interface Fold {
  readonly proxy: Server;
  readonly lines: readonly Line[];
}

export async function openFold(stage: Stage): Promise<Fold> {
  const { signal, use } = stage;
  const env = { DELAY_MS: `${DELAY_MS}`, LOG_LEVEL: 'error' };
  const openBackend = async () => {
    const backend = use(startProcess(new URL('backend.ts', import.meta.url), { env, signal }));
    return openLine(stage, await backend.url(30_000));
  };
  const lines = await Promise.all([openBackend(), openBackend()]);
  const urls = lines.map(({ proxy }) => proxy.url);
  return { lines, proxy: await openServer(stage, 'demultiplexer.ts', { CONNECTIONS: `${CONNECTIONS}` }, urls) };
}

export async function foldIntoFew(stage: Stage, { proxy, lines }: Fold): Promise<void> {
  const { story } = stage;
  const front = await openLine(stage, proxy.url);
  await using way = oneSession(front.proxy.url, proxy.ca);
  story.wire('client', 'proxy', `${ITEMS} × GET /items/n, HTTP/2, one connection`);
  const statuses = await Promise.all(askForPage(way));
  const behind = lines.map((line) => line.sockets());
  story.wire(
    'proxy',
    'backends',
    `${ITEMS} × GET /items/n, HTTP/1.1, ${behind.join(' + ')} connections to two of them`,
  );
  const answered = statuses.filter((status) => status === 200).length;
  story.wire('proxy', 'client', `${answered} × 200`);
  story.measure('one h2', { 'folded into connections to two backends': behind.join(' + ') });
  story.claim(
    `demultiplexing: ${ITEMS} streams of one connection became ${behind.join(' + ')} connections, and none was lost`,
    front.sockets() === 1 && behind.every((sockets) => sockets > 0 && sockets <= CONNECTIONS) && answered === ITEMS,
  );
}
