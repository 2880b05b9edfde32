/**
 * The sidecar's own port, for the orchestrator and nobody else: what is asked here passes no limit and no token check.
 * `/live` is about the process, and knows nothing of the app: a sidecar that is restarted because its app is slow is slow, too.
 * `/ready` is about whether a request would be served.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { type Listening, listen } from '@patterns/kit/listen';
import type { Log } from '@patterns/kit/log';
import { answerError, HttpProblem, sendProblem } from '@patterns/kit/problem';
import type { Breaker } from './breaker.ts';
import type { Metrics } from './metrics.ts';
import { LIVE, METRICS, READY } from './protocol.ts';
import type { Upstream } from './target.ts';

export interface AdminOptions {
  port?: number | undefined;
  upstream: Upstream;
  connectMs: number;
  breaker: Breaker;
  metrics: Metrics;
  log: Log;
  /** Not yet, or no longer. */
  isServing: () => boolean;
}

export async function startAdmin({
  port,
  upstream,
  connectMs,
  breaker,
  metrics,
  log,
  isServing,
}: AdminOptions): Promise<Listening> {
  const whyNotReady = async () => {
    if (!isServing()) return 'the sidecar is starting or draining';
    if (!(await accepts(upstream, connectMs))) return 'the app does not accept connections';
    return breaker.state === 'open' ? 'the app has failed too often' : undefined;
  };
  async function answer({ url }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (url === LIVE) response.end('live\n');
    else if (url === READY) {
      const reason = await whyNotReady();
      if (reason) sendProblem(response, new HttpProblem(503, { detail: reason }));
      else response.end('ready\n');
    } else if (url === METRICS) {
      const { registry } = metrics;
      response.setHeader('Content-Type', registry.contentType).end(await registry.metrics());
    } else sendProblem(response, new HttpProblem(404, { detail: `here are ${LIVE}, ${READY}, ${METRICS}` }));
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((error) => answerError(log, response, error));
  });
  return listen(server, { port, graceMs: 500 });
}

/** Whether somebody listens there. */
function accepts(upstream: Upstream, connectMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect('socketPath' in upstream ? { path: upstream.socketPath } : upstream);
    socket.setTimeout(connectMs, () => socket.destroy());
    socket.once('connect', () => resolve(true)).once('connect', () => socket.destroy());
    socket.once('error', () => {}).once('close', () => resolve(false));
  });
}
