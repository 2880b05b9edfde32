/**
 * The answers, for both versions: Node gives HTTP/2 requests the face of HTTP/1.1 ones, and `response.stream` is the lane below.
 */
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2ServerResponse } from 'node:http2';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import type { Metrics } from './metrics.ts';
import * as protocol from './protocol.ts';

const isStream = (response: object): response is Http2ServerResponse => 'stream' in response;

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface RouteOptions {
  /** How long items take, and how long an upload waits before it is read: the work that a real server would have to do. */
  delayMs: number;
  metrics: Metrics;
  log: Log;
  /** Aborts when the server closes: event streams end. */
  closing: AbortSignal;
}

/** A handler for every request: 404 for unknown paths, 405 for wrong methods, each stream answered or reset. */
export function createRoutes({ delayMs, metrics, log, closing }: RouteOptions): Answer {
  const pages = { [protocol.PAGE]: 'page.html', [protocol.EVENT_SOURCES]: 'event-sources.html' };
  const gets = new Map<string, Answer>([
    ...Object.entries(protocol.RESOURCES).map(([path, resource]): [string, Answer] => [
      path,
      (_request, response) => sendJson(response, JSON.stringify(resource)),
    ]),
    ...Object.entries(pages).map(([path, file]): [string, Answer] => [
      path,
      (_request, response) => sendFile(response, file),
    ]),
    [protocol.DOWNLOAD, (_request, response) => sendDownload(response)],
    [protocol.EVENTS, (_request, response) => sendEvents(response, closing)],
    [protocol.LIVE, (_request, response) => send(response, 'text/plain', 'live\n')],
    [
      protocol.METRICS,
      async (_request, response) => send(response, metrics.registry.contentType, await metrics.registry.metrics()),
    ],
  ]);

  function route(path: string, method: string): Answer {
    const item = protocol.itemOf(path);
    const get =
      item === undefined
        ? gets.get(path)
        : (_request: IncomingMessage, response: ServerResponse) => sendItem(response, item, delayMs);
    const allowed = get ? ['GET', 'HEAD'] : path === protocol.UPLOADS ? ['POST'] : undefined;
    if (!allowed) throw new HttpProblem(404, { detail: `nothing is at ${path}` });
    if (!allowed.includes(method)) {
      throw new HttpProblem(405, { detail: `${method} is not allowed here`, headers: { Allow: allowed.join(', ') } });
    }
    return get ?? ((request, response) => countUpload(request, response, delayMs));
  }

  return async (request, response) => {
    try {
      const path = (request.url ?? '').split('?', 1)[0]!;
      await route(path, request.method ?? '')(request, response);
    } catch (error) {
      answerError(log, response, error);
    }
  };
}

// #region send
function send(response: ServerResponse, type: string, body: string): void {
  const headers = { 'content-type': type, 'content-length': Buffer.byteLength(body) };
  if (isStream(response)) {
    const { stream } = response;
    if (stream.destroyed) return;
    stream.respond({ ':status': 200, ...headers });
    stream.end(body);
  } else response.writeHead(200, headers).end(body);
}
// #endregion

function sendJson(response: ServerResponse, body: string): void {
  send(response, 'application/json', body);
}

async function sendFile(response: ServerResponse, file: string): Promise<void> {
  send(response, 'text/html; charset=utf-8', await readFile(new URL(file, import.meta.url), 'utf8'));
}

function sendItem(response: ServerResponse, item: number, delayMs: number): void {
  const answer = () => sendJson(response, protocol.encodeItem(item));
  if (delayMs === 0) answer();
  else later(response, delayMs, answer);
}

/** Whoever has gone meanwhile needs no answer: the work is dropped with its stream. */
function later(response: ServerResponse, delayMs: number, work: () => void): void {
  const working = setTimeout(work, delayMs);
  response.once('close', () => clearTimeout(working));
}

// #region download
const CHUNK = Buffer.alloc(16_384, 'one road, many lanes\n');

/** `write` says false when the peer's window is full: what it does not read is then not made, and not kept [RFC 9113 §5.2]. */
async function sendDownload(response: ServerResponse): Promise<void> {
  response.writeHead(200, { 'Content-Type': 'text/plain', 'Content-Length': protocol.DOWNLOAD_BYTES });
  let isGone = false;
  response.once('close', () => (isGone = true));
  for (let sent = 0; sent < protocol.DOWNLOAD_BYTES && !isGone; sent += CHUNK.length) {
    if (!response.write(CHUNK)) await drained(response);
  }
  response.end();
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const goOn = () => {
      response.off('drain', goOn).off('close', goOn);
      resolve();
    };
    response.on('drain', goOn).on('close', goOn);
  });
}
// #endregion

function sendEvents(response: ServerResponse, closing: AbortSignal): void {
  response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  let n = 0;
  const tick = () => void response.write(`data: {"n":${++n}}\n\n`);
  tick();
  const ticking = setInterval(tick, 1_000);
  const end = () => void response.end();
  closing.addEventListener('abort', end);
  response.once('close', () => {
    clearInterval(ticking);
    closing.removeEventListener('abort', end);
  });
}

function countUpload(request: IncomingMessage, response: ServerResponse, delayMs: number): void {
  let bytes = 0;
  request.on('data', (chunk: Buffer) => (bytes += chunk.length));
  request.on('end', () => sendJson(response, JSON.stringify({ bytes })));
  if (delayMs > 0) {
    request.pause();
    later(response, delayMs, () => request.resume());
  }
}
