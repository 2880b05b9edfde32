/**
 * The demo's stage: a client, the line to the sidecar, which shows what crosses it, and sidecars as processes, whose logs are read.
 */
import { request as httpRequest } from 'node:http';
import { text } from 'node:stream/consumers';
import type { Stage } from '@patterns/kit/demo';
import { EventQueue } from '@patterns/kit/testing/event-queue';
import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { type ChildProgram, startProcess } from '@patterns/kit/testing/processes';
import { within } from '@patterns/kit/testing/until';
import { httpWire } from '@patterns/kit/wire';

/** For what must come: a process takes seconds to start on a machine that has much to do. */
export const PATIENCE_MS = 30_000;

/** A line of a sidecar's log. */
export interface Entry {
  readonly message: string;
  readonly [field: string]: unknown;
}

export interface Running {
  readonly program: ChildProgram;
  readonly url: string;
  readonly adminUrl: string;
  readonly entries: EventQueue<Entry>;
}

export interface Answer {
  readonly status: number;
  readonly headers: NodeJS.Dict<string | string[]>;
  readonly body: string;
}

export interface Question {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  signal?: AbortSignal;
}

const SHOWN = [
  'x-forwarded-for',
  'traceparent',
  'ratelimit',
  'retry-after',
  'www-authenticate',
  'age',
  'cache-status',
  'proxy-status',
  'server',
];

export type Scene = Awaited<ReturnType<typeof openScene>>;

export async function openScene({ story, signal, chosen, use }: Stage) {
  let isShown = true;
  let last = '';
  const body = (text: string) => {
    const isSame = text === last;
    last = text;
    return isSame ? undefined : showBody(text); // ten times the same answer is not ten lines
  };
  const wire = httpWire({ story, client: 'client', server: 'sidecar', headers: SHOWN, body });
  const onData: typeof wire.onData = (chunk, info) => {
    if (isShown) wire.onData(chunk, info);
  };
  const line = use(await startFaultProxy('http://127.0.0.1:1', { onData }));

  /** Starts a sidecar in front of `upstream` with these powers and no others. */
  const sidecar = async (upstream: string, powers: string, env: Record<string, string> = {}): Promise<Running> => {
    const entries = new EventQueue<Entry>();
    const program = use(
      startProcess(new URL('sidecar.ts', import.meta.url), {
        args: ['--engine', chosen.engine!],
        env: {
          UPSTREAM: upstream,
          POWERS: powers,
          REDIS_URL: undefined,
          PORT: undefined,
          ADMIN_PORT: undefined,
          ...env,
        },
        onLine: (line) => void (line.startsWith('{') && entries.push(JSON.parse(line) as Entry)),
        signal,
      }),
    );
    const url = await program.url(PATIENCE_MS);
    const admin = await program.line(/^in front of/, { withinMs: PATIENCE_MS });
    return { program, url, adminUrl: /http:[^ ]+(?=\/ready)/.exec(admin)![0], entries };
  };

  /** Requests go there from now on. */
  const goThrough = ({ url }: { url: string }, about?: string): void => {
    line.target(url);
    if (about !== undefined) story.act('sidecar', about);
  };

  /** Asks once, on a connection of its own. */
  const ask = (path: string, { method = 'GET', headers = {}, body, signal: until = signal }: Question = {}) => {
    const answer = new Promise<Answer>((resolve, reject) => {
      const request = httpRequest(new URL(path, line.url), { method, headers, agent: false, signal: until });
      request.on('response', (response) => {
        const { statusCode: status = 0, headers } = response;
        text(response).then((body) => resolve({ status, headers, body }), reject);
      });
      request.on('error', reject).end(body);
    });
    return within(`the answer to ${method} ${path}`, PATIENCE_MS, answer);
  };

  /** Does something whose many messages are told in one line, and not shown. */
  const quietly = async <T>(work: () => Promise<T>): Promise<T> => {
    isShown = false;
    try {
      return await work();
    } finally {
      isShown = true;
    }
  };

  return { line, sidecar, goThrough, ask, quietly };
}

/** Of what the app saw, the headers that the sidecar is about; of everything else, what fits. */
function showBody(line: string): string | undefined {
  const seen = line.startsWith('{"method"') || line.startsWith('{"user-agent"') || line.startsWith('{"x-');
  if (!seen) return line.length > 100 ? `${line.slice(0, 99)}…` : line;
  const body = JSON.parse(line) as { headers?: Record<string, string> };
  const headers = body.headers ?? (body as Record<string, string>);
  const told = ['x-forwarded-for', 'x-debug', 'traceparent', 'authorization', 'x-authenticated-subject'];
  return `the app saw  ${told
    .map((name) => headers[name] && `${name}: ${headers[name]}`)
    .filter(Boolean)
    .join('  ')}`;
}

/** A line of the access log in the width of a terminal. */
export function showEntry({ level: _level, at: _at, message: _message, ...fields }: Entry): string {
  return `logs ${JSON.stringify(fields)}`;
}
