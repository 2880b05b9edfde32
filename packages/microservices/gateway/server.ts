/**
 * The gateway: the one address that customers know. It says who may come in, how long they wait at most, and what is done first
 * when there is too much; what an order is, it does not know.
 *
 * Here deadlines begin (`maxMs`), and whoever is asked has less (chassis/deadline.ts). Here alone calls are repeated: each layer
 * that did so too would multiply them. It keeps nothing but a menu, so there may be any number of gateways.
 */
import { createLog, type Log } from '@patterns/kit/log';
import { openDependency } from '../chassis/dependency.ts';
import { envMs, envServiceKey, envUrls, runService } from '../chassis/entry.ts';
import { openIdentity } from '../chassis/identity.ts';
import { serve } from '../chassis/service.ts';
import { openAccess } from './access.ts';
import { openAdmission } from './admission.ts';
import { openStreams } from './events.ts';
import { addGauges } from './metrics.ts';
import { gatewayRoutes } from './routes.ts';
import { openTickets } from './ticket.ts';

export interface GatewayOptions {
  /** Of each instance. */
  userUrls: readonly string[];
  orderUrls: readonly string[];
  trackingUrl: string;
  /** Whose identity the gateway's is: PEM, P-256. All gateways have the same. */
  privateKey: string;
  port?: number;
  log?: Log;
  /** The longest that a request waits. 3 s: nobody looks for longer at a page that does nothing. */
  maxMs?: number;
  /** Requests in flight, in all; browsing may take half of it. */
  maxInFlight?: number;
  maxStreams?: number;
  /** For how long a menu is shown without asking for it again. */
  menuFreshMs?: number;
  /** After so many failed calls in a row a service is left alone for a while. */
  breaker?: { failures: number; openMs: number };
  graceMs?: number;
}

export async function startGateway({
  userUrls,
  orderUrls,
  trackingUrl,
  privateKey,
  port,
  log = createLog('gateway'),
  maxMs = 3_000,
  maxInFlight = 200,
  maxStreams,
  menuFreshMs,
  breaker = { failures: 5, openMs: 2_000 },
  graceMs,
}: GatewayOptions): Promise<{ readonly url: string } & AsyncDisposable> {
  await using opened = new AsyncDisposableStack();
  const identity = openIdentity({ service: 'gateway', privateKey });
  // #region dependencies
  // An attempt may take half of the deadline: when an answer got lost, there is time to ask again. 100 orders at a time: one that is
  // slow keeps so many waiting and no more, and logins do not notice.
  const common = { identity, log, timeoutMs: maxMs / 2, breaker, retries: 2 };
  // A login is computing (argon2id), which goes on when nobody waits any more: it has the whole deadline, and only an instance that is
  // gone is passed over. Four hash at a time in each.
  const logins = { timeoutMs: maxMs, maxConcurrent: 8 * userUrls.length, maxQueued: 50 };
  const user = opened.use(openDependency({ ...common, ...logins, name: 'user', urls: userUrls }));
  const order = opened.use(openDependency({ ...common, name: 'order', urls: orderUrls, maxConcurrent: 100 }));
  // #endregion
  const streams = opened.use(openStreams({ trackingUrl, identity, maxStreams, beginMs: maxMs }));
  const access = opened.use(await openAccess(userUrls, log));
  const admission = openAdmission(maxInFlight);
  const addRoutes = gatewayRoutes({
    user,
    order,
    streams,
    access,
    tickets: openTickets(privateKey),
    admission,
    maxMs,
    menuFreshMs,
  });

  const listening = opened.use(
    await serve({
      name: 'gateway',
      log,
      port,
      graceMs,
      isEdge: true, // a customer's span is in none of our records: here the trace begins
      ready: () => access.isReady(),
      routes(app, metrics) {
        metrics.watch(user);
        metrics.watch(order);
        addGauges(metrics.registry, { admission, streams });
        addRoutes(app);
      },
    }),
  );
  listening.closing.addEventListener('abort', () => streams.cut());
  const running = opened.move();
  return { url: listening.url, [Symbol.asyncDispose]: () => running.disposeAsync() };
}

if (import.meta.main) {
  await runService('gateway', ({ log, port }) =>
    startGateway({
      userUrls: envUrls('USER_URLS'),
      orderUrls: envUrls('ORDER_URL'),
      trackingUrl: envUrls('TRACKING_URL')[0]!,
      privateKey: envServiceKey(),
      port,
      log,
      maxMs: envMs('MAX_MS', 3_000),
    }),
  );
}
