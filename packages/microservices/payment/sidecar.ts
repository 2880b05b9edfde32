/**
 * The sidecar of the payment service: the process through which everybody reaches it, and without which nobody does. It checks that
 * it is the order service that asks (its tokens, its key, nobody else's), bounds what may be sent, and writes the access log.
 * Payment's own code has none of that: it would be the same in a language of its own (sidecar/app.py).
 *
 * What is left off, because another layer has it: retries (the saga's), the breaker (the caller has one that knows the deadline),
 * the limit per client (there is one client), the cache (nothing here may be old).
 */
import { ConfigError, envPort } from '@patterns/kit/env';
import { exchangeOf, type Power } from '@patterns/sidecar/exchange';
import { type Sidecar, type SidecarOptions, startSidecar } from '@patterns/sidecar/sidecar';
import { tokenKey } from '@patterns/sidecar/token-check';
import { WEBHOOKS } from '@patterns/webhooks/protocol';
import { envCallers, runService } from '../chassis/entry.ts';
import { startSpan } from '../chassis/spans.ts';

export interface PaymentSidecarOptions
  extends Pick<SidecarOptions, 'port' | 'adminPort' | 'log' | 'accessLog' | 'graceMs'> {
  /** Where payment listens. */
  socketPath: string;
  /** PEM: only what is signed with its other half passes. */
  orderPublicKey: string;
}

// #region sidecar
export function startPaymentSidecar({ socketPath, orderPublicKey, ...rest }: PaymentSidecarOptions): Promise<Sidecar> {
  return startSidecar({
    ...rest,
    upstream: `unix:${encodeURI(socketPath)}`,
    engine: 'undici',
    tokens: {
      algorithm: 'ES256',
      key: tokenKey('ES256', orderPublicKey),
      issuer: 'order',
      audience: 'payment',
      publicPaths: [WEBHOOKS], // the provider has no token of ours: its webhooks are signed
    },
    limits: { maxBodyBytes: 64 * 1024, maxHeaderBytes: 8 * 1024, headersMs: 5_000, requestMs: 10_000 },
    timeouts: { headersMs: 6_000, totalMs: 10_000 }, // a little more than payment's own 5 s
    retry: { ratio: 0, reserve: 0 },
    breaker: { maxFailures: Number.POSITIVE_INFINITY },
    limit: false,
    cache: false,
    powers: [recordSpan],
  });
}
// #endregion

/** Between a request and its answer: the sidecar is a hop of its own, and sends on a span of its own. */
const recordSpan: Power = (request, response, next) => {
  const { trace, path } = exchangeOf(response);
  const attributes = { 'http.request.method': request.method ?? '', 'url.path': path.split('?', 1)[0]! };
  const span = startSpan(`${request.method} sidecar`, { kind: 'server', trace, attributes });
  response.once('close', () => {
    span.set('http.response.status_code', response.statusCode);
    span.end(response.statusCode >= 500 ? `status ${response.statusCode}` : undefined);
  });
  next();
};

if (import.meta.main) {
  await runService('payment-sidecar', ({ log, port }) => {
    const socketPath = process.env.SOCKET_PATH;
    if (!socketPath) throw new ConfigError('SOCKET_PATH is not set: it says where payment listens');
    const { order } = envCallers('order');
    const accessLog = log.isInfoEnabled() && {};
    const options = { port, adminPort: envPort('ADMIN_PORT'), log, accessLog };
    return startPaymentSidecar({ socketPath, orderPublicKey: order!, ...options });
  });
}
