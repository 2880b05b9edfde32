/**
 * The demo's stage: servers as processes of their own over a database of their own, and to each a line that shows what crosses
 * it and can be made long.
 */
import type { Stage } from '@patterns/kit/demo';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { startProcess } from '@patterns/kit/testing/processes';
import { httpWire } from '@patterns/kit/wire';
import { createDatabase } from '@patterns/services/database';
import { findPostgres } from '@patterns/services/postgres';
import type { Service } from '@patterns/services/service';
import { GRAPHQL_PATH, GRAPHQL_RESPONSE, SQL_STATEMENTS_HEADER } from './protocol.ts';
import { createBlog } from './tables.ts';

/** For what must come: a process takes seconds to start on a machine that has much to do. */
const PATIENCE_MS = 30_000;

/** A line to a server. While it is not shown, what is asked is counted instead, by its kind. */
export interface Line {
  readonly url: string;
  /** Past the line, where nobody sees it. */
  readonly directUrl: string;
  /** What a round trip takes longer, in milliseconds. */
  delay(roundTripMs: number): void;
  /** Runs `work`, and then tells what was asked meanwhile in a line for each kind of question. */
  summed<T>(work: () => Promise<T>): Promise<T>;
  /** Runs `work`, of which nothing is told. */
  unseen<T>(work: () => Promise<T>): Promise<T>;
}

export type Blog = Awaited<ReturnType<typeof openBlog>>;

/** Found once for both halves. */
let postgres: Promise<Service> | undefined;

export async function openBlog({ story, signal, use, keep }: Stage) {
  postgres ??= findPostgres({ signal }).then(keep);
  const database = use(await createDatabase((await postgres).url, 'blog'));
  await createBlog(database.url);

  const start = (file: string, env: Record<string, string> = {}) =>
    use(
      startProcess(new URL(file, import.meta.url), {
        env: { DATABASE_URL: database.url, REDIS_URL: undefined, PORT: undefined, LOG_LEVEL: 'warn', ...env },
        signal,
      }),
    );

  async function lineTo(actor: string, url: string): Promise<Line> {
    const asked = new Map<string, number>();
    let mode: 'shown' | 'summed' | 'unseen' = 'shown';
    const wire = httpWire({ story, client: 'client', server: actor, headers: SHOWN, body: shorten });
    const onData: typeof wire.onData = (chunk, info) => {
      if (mode === 'shown') wire.onData(chunk, info);
      if (mode !== 'summed' || info.direction === 'down') return;
      const kind = kindOf(chunk.toString('latin1'));
      asked.set(kind, (asked.get(kind) ?? 0) + 1);
    };
    const proxy: FaultProxy = use(await startFaultProxy(url, { onData }));
    const inMode = async <T>(wanted: typeof mode, work: () => Promise<T>): Promise<T> => {
      mode = wanted;
      try {
        return await work();
      } finally {
        mode = 'shown';
      }
    };
    return {
      url: proxy.url,
      directUrl: url,
      delay: (roundTripMs) => proxy.delay(roundTripMs / 2), // once on the way there, once on the way back
      unseen: (work) => inMode('unseen', work),
      async summed(work) {
        const result = await inMode('summed', work);
        for (const [kind, times] of asked) story.wire('client', actor, `${kind}${times > 1 ? `   × ${times}` : ''}`);
        asked.clear();
        return result;
      },
    };
  }

  return {
    lineTo,
    async startNaive(env: Record<string, string> = {}): Promise<Line> {
      return lineTo('GraphQL', await start('naive.ts', env).url(PATIENCE_MS));
    },
    /** Both servers, in one process. */
    async startSound(): Promise<{ rest: Line; graphql: Line }> {
      const server = start('server.ts');
      const rest = await lineTo('REST', await server.url(PATIENCE_MS));
      const said = await server.line(/^GraphQL on /, { withinMs: PATIENCE_MS });
      return { rest, graphql: await lineTo('GraphQL', new URL(said.slice('GraphQL on '.length)).origin) };
    },
  };
}

export interface RawAnswer {
  readonly status: number;
  readonly statements: number;
  readonly text: string;
  readonly ms: number;
}

/** Asks as anybody can, with no client of ours between. */
export async function askRaw(url: string, query: string, { method = 'POST', token = '' } = {}): Promise<RawAnswer> {
  const at = new URL(GRAPHQL_PATH, url);
  if (method === 'GET') at.search = `query=${encodeURIComponent(query)}`;
  const startedAt = performance.now();
  const response = await fetch(at, {
    method,
    headers: {
      Accept: GRAPHQL_RESPONSE,
      'Content-Type': 'application/json',
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    ...(method === 'POST' && { body: JSON.stringify({ query }) }),
  });
  const text = await response.text();
  const statements = Number(response.headers.get(SQL_STATEMENTS_HEADER) ?? Number.NaN);
  return { status: response.status, statements, text, ms: performance.now() - startedAt };
}

const SHOWN = ['x-sql-statements', 'if-none-match', 'allow', 'authorization'];

/** `GET /users/17?fields=name` and all its like: `GET /users/:id?fields=name`. */
function kindOf(request: string): string {
  const [line = ''] = /^[A-Z]+ \S+/.exec(request) ?? [];
  return line.replace(/\/\d+/g, '/:id');
}

function shorten(line: string): string {
  return line.length > 100 ? `${line.slice(0, 99)}…` : line;
}
