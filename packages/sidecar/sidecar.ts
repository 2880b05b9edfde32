/**
 * The sidecar: a process beside an app, through which every request goes. It gives the app what each app needs and none should
 * have to write: a log, a trace, limits, a token check, a cache, patience and an end to it.
 *
 * The app is not changed, and not even told. It listens where only the sidecar reaches it and is asked over plain HTTP, so it can
 * be written in any language (app.py). This file is the order of the powers; each of them is a file of its own.
 */
import { createServer } from 'node:http';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { openAccessLog } from './access-log.ts';
import { startAdmin } from './admin.ts';
import { startApp } from './beside.ts';
import { Breaker } from './breaker.ts';
import { openEngine, type SidecarOptions, withDefaults } from './configuration.ts';
import { optionsFromEnv } from './environment.ts';
import { begin } from './exchange.ts';
import { forward } from './forward.ts';
import { limitConnections, limitSizes } from './limits.ts';
import { countRequests, createMetrics } from './metrics.ts';
import { cacheResponses } from './response-cache.ts';
import { RetryBudget } from './retry.ts';
import { SharedCounters } from './shared-counters.ts';
import { parseUpstream } from './target.ts';
import { checkTokens } from './token-check.ts';

export type { SidecarOptions };

export interface Sidecar extends Listening {
  /** Liveness, readiness, metrics. */
  readonly adminUrl: string;
}

/**
 * Starts a sidecar in front of `upstream`. Closed, it stops accepting, lets what is under way finish, and writes what is left of
 * its log; the app must outlive it (beside.ts).
 * @throws {ConfigError} when an option makes no sense.
 */
export async function startSidecar(options: SidecarOptions): Promise<Sidecar> {
  const { accessLog, limit, tokens, cache, limits, timeouts, ...rest } = withDefaults(options);
  const { engine: name, port, adminPort, redisUrl, trustedHops, graceMs, log = createLog('sidecar') } = rest;
  const upstream = parseUpstream(rest.upstream);
  const metrics = createMetrics();
  const breaker = new Breaker(rest.breaker, (state) => {
    metrics.breakerState(state);
    log.warn(`breaker: ${state}`);
  });
  let listening: Listening | undefined;
  const isServing = () => listening?.closing.aborted === false;

  await using opened = new AsyncDisposableStack(); // the last one opened is the first one closed
  const connectMs = timeouts.connectMs;
  const admin = opened.use(
    await startAdmin({ port: adminPort, upstream, connectMs, breaker, metrics, log, isServing }),
  );
  const engine = opened.use(await openEngine(name, { upstream, timeouts, log }));

  // #region powers
  const powers = [countRequests(metrics), limitSizes(limits)];
  if (accessLog) powers.unshift(opened.use(openAccessLog(accessLog, metrics, engine.logger)).power);
  if (limit) {
    const counters = opened.use(await SharedCounters.open(redisUrl, limit, log, metrics));
    powers.push(engine.limiter({ ...limit, counters })); // before the proxy: behind it, it would never run
  }
  if (tokens) powers.push(checkTokens(tokens, metrics));
  if (cache) powers.push(cacheResponses(cache, metrics)); // behind the token check: a stored answer is an answer
  const budget = new RetryBudget(rest.retry);
  powers.unshift(...(rest.powers ?? []));
  powers.push(forward({ send: engine.send, breaker, budget, timeouts, metrics, log }));
  // #endregion

  const serve = begin(trustedHops, log, engine.listener(powers));
  const server = createServer({ maxHeaderSize: limits.maxHeaderBytes, connectionsCheckingInterval: 1_000 }, serve);
  server.on('checkContinue', serve); // the powers decide before the client sends its body (forward.ts)
  limitConnections(server, limits);
  listening = opened.use(await listen(server, { port, graceMs }));

  const close = closeOnce(opened.move());
  const { url, closing } = listening;
  return {
    url,
    adminUrl: admin.url,
    closing,
    get connections() {
      return listening.connections;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Disposing a stack twice does not wait the second time. */
function closeOnce(stack: AsyncDisposableStack): () => Promise<void> {
  let closed: Promise<void> | undefined;
  return () => {
    closed ??= stack.disposeAsync();
    return closed;
  };
}

if (import.meta.main) {
  await main(async (stack, signal) => {
    const options = optionsFromEnv();
    // Registered first, so released last: the app stops when nobody asks it any more.
    const upstream = options.upstream ?? stack.use(await startApp('app.ts', { signal })).upstream;
    const sidecar = stack.use(await startSidecar({ ...options, upstream }));
    console.log(`listening on ${sidecar.url}`);
    console.log(`in front of ${upstream}; live, ready and metrics: ${sidecar.adminUrl}/ready`);
    console.log(`in another terminal: curl -i ${sidecar.url}/api/data`);
  });
}
