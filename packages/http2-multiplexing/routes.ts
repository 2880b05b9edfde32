/**
 * Which path and method gets which answer, in both versions: to a handler, Node gives HTTP/2 requests the face of HTTP/1.1 ones.
 * Every request is answered. A stream that nobody answers stays open, and counts, until one of the two sides gives up.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import { countUpload, send, sendDownload, sendEvents, sendItem, sendJson, sendPage } from './answers.ts';
import type { Metrics } from './metrics.ts';
import * as protocol from './protocol.ts';

type Answer = (request: IncomingMessage, response: ServerResponse) => unknown;

export interface RouteOptions {
  /** How long an item takes, and how long an upload waits before it is read. */
  delayMs: number;
  metrics: Metrics;
  log: Log;
  /** Aborts when the server closes: event streams end. */
  closing: AbortSignal;
}

/** Makes the handler for every request. 404 for unknown paths, 405 for other methods. */
export function createRoutes({ delayMs, metrics, log, closing }: RouteOptions): Answer {
  const { registry } = metrics;
  const routes = new Map([
    [protocol.PAGE, get((response) => sendPage(response, 'page.html'))],
    [protocol.EVENT_SOURCES, get((response) => sendPage(response, 'event-sources.html'))],
    [protocol.DOWNLOAD, get(sendDownload)],
    [protocol.EVENTS, get((response) => sendEvents(response, closing))],
    [
      protocol.UPLOADS,
      new Map<string, Answer>([['POST', (request, response) => countUpload(request, response, delayMs)]]),
    ],
    [protocol.METRICS, get(async (response) => send(response, registry.contentType, await registry.metrics()))],
    [protocol.LIVE, get((response) => send(response, 'text/plain', 'live\n'))],
  ]);
  for (const [path, resource] of Object.entries(protocol.RESOURCES))
    routes.set(
      path,
      get((response) => sendJson(response, JSON.stringify(resource))),
    );
  for (let item = 1; item <= protocol.ITEMS; item++)
    routes.set(
      protocol.itemPath(item),
      get((response) => sendItem(response, item, delayMs)),
    );

  function answerOf(path: string, method: string): Answer {
    const methods = routes.get(path);
    if (!methods) throw new HttpProblem(404, { detail: `nothing is at ${path}` });
    const answer = methods.get(method);
    if (answer) return answer;
    const headers = { Allow: [...methods.keys()].join(', ') };
    throw new HttpProblem(405, { detail: `${method} is not allowed here`, headers });
  }

  return async (request, response) => {
    try {
      const [path = ''] = (request.url ?? '').split('?', 1);
      await answerOf(path, request.method ?? '')(request, response);
    } catch (error) {
      answerError(log, response, error);
    }
  };
}

/** HEAD is GET without the body: Node leaves that out by itself. */
function get(answer: (response: ServerResponse) => unknown): Map<string, Answer> {
  const handle: Answer = (_request, response) => answer(response);
  return new Map([
    ['GET', handle],
    ['HEAD', handle],
  ]);
}
