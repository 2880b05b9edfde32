/**
 * The demo's stage: servers as processes, and lines to them that count what crosses. What crosses is encrypted: the lines see
 * connections and bytes, and the demo says what it has asked for.
 */
import { readFile } from 'node:fs/promises';
import { makeCertificate } from '@patterns/kit/certificate';
import type { Stage } from '@patterns/kit/demo';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { askForPage, type Way } from './demo-pages.ts';
import { ITEMS } from './protocol.ts';

/** Ten times what a process needs to start: the machine may be busy with other things. */
const START_MS = 30_000;

/** How long an item takes on the slow server. */
export const DELAY_MS = 20;

/** A row of the closing table. */
export const STALLED = 'one connection stalls: answered meanwhile';

export interface Server {
  readonly program: ChildProgram;
  readonly url: string;
  /** The certificate that it made for itself. */
  readonly ca: string;
}

/** Starts a server that prints where its certificate is. */
export async function openServer(
  { use, signal }: Stage,
  file: string,
  env: Record<string, string> = {},
  args: string[] = [],
): Promise<Server> {
  const options = { args, env: { LOG_LEVEL: 'error', ...env }, signal };
  const program = use(startProcess(new URL(file, import.meta.url), options));
  const url = await program.url(START_MS);
  const hint = await program.line(/--cacert \S+/, { withinMs: START_MS });
  const [, path = ''] = /--cacert (\S+)/.exec(hint) ?? [];
  return { program, url, ca: await readFile(path, 'utf8') };
}

/** What both halves ask: a server whose items take a while, and one whose items take no time. */
export interface Servers {
  readonly slow: Server;
  readonly quick: Server;
  /** One more like the slow one, with the same certificate. */
  readonly another: () => Promise<Server>;
}

let servers: Promise<Servers> | undefined;

export function openServers(stage: Stage): Promise<Servers> {
  servers ??= startServers({ ...stage, use: stage.keep });
  return servers;
}

async function startServers(stage: Stage): Promise<Servers> {
  const { cert, key } = await makeCertificate();
  const env = { TLS_CERT: cert, TLS_KEY: key };
  const openSlow = () => openServer(stage, 'server.ts', { ...env, DELAY_MS: `${DELAY_MS}` });
  const [slow, quick] = await Promise.all([openSlow(), openServer(stage, 'server.ts', env)]);
  return { slow, quick, another: openSlow };
}

/** A line to a server. */
export interface Line {
  readonly proxy: FaultProxy;
  /** Connections so far. */
  sockets(): number;
  /** In both directions, TLS included. */
  bytes(): number;
}

export async function openLine({ use }: Stage, url: string): Promise<Line> {
  const seen = new Set<number>();
  const proxy = use(await startFaultProxy(url, { onData: (_chunk, { connection }) => seen.add(connection) }));
  return { proxy, sockets: () => seen.size, bytes: () => proxy.bytes.up + proxy.bytes.down };
}

export interface PageCost {
  readonly ms: number;
  readonly sockets: number;
  readonly bytesEach: number;
}

/** How often each way loads the page. */
export const PAGES = 3;

/** Loads the page a few times, and shows it. @returns the quickest of those after the first; and all connections. */
export async function loadPages({ story }: Stage, way: Way, line: Line, how: string): Promise<PageCost> {
  const costs: PageCost[] = [];
  story.wire('client', 'server', `${ITEMS} × GET /items/n, ${how}`);
  for (let page = 1; page <= PAGES; page++) {
    const [socketsBefore, bytesBefore] = [line.sockets(), line.bytes()];
    const startedAt = performance.now();
    const statuses = await Promise.all(askForPage(way));
    const ms = performance.now() - startedAt;
    if (!statuses.every((status) => status === 200)) throw new Error(`not all answered: ${statuses.join(' ')}`);
    costs.push({ ms, sockets: line.sockets() - socketsBefore, bytesEach: (line.bytes() - bytesBefore) / ITEMS });
  }
  const [first, ...later] = costs as [PageCost, ...PageCost[]];
  const quickest = later.toSorted((a, b) => a.ms - b.ms)[0]!;
  for (const [which, { ms, sockets, bytesEach }] of [
    ['the first page', first],
    ['those after it', quickest],
  ] as const) {
    const cost = `${ms.toFixed(0)} ms, ${bytesEach.toFixed(0)} bytes each, ${sockets} new connections`;
    story.wire('server', 'client', `${ITEMS} × 200   ${which}: ${cost}`);
  }
  return { ...quickest, sockets: line.sockets() };
}

/** What the table at the end says of a way of loading the page. */
export function measurePages({ story }: Stage, name: string, slow: PageCost, quick: PageCost): void {
  story.measure(name, {
    [`connections, for ${PAGES} pages`]: slow.sockets,
    'bytes each, TLS included': slow.bytesEach.toFixed(0),
    '100 that take 20 ms each': `${slow.ms.toFixed(0)} ms`,
    '100 that take no time': `${quick.ms.toFixed(0)} ms`,
  });
}
