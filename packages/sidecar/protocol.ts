/**
 * What the sidecar adds to the wire, in both directions, and how it says that something failed.
 *
 *     GET /menu HTTP/1.1                              GET /menu HTTP/1.1
 *     Host: shop.example                              Host: shop.example
 *     X-Forwarded-For: 10.0.0.1      (a lie)          Via: 1.1 sidecar
 *     Connection: close, X-Debug            ───►      X-Forwarded-For: 127.0.0.1       from the socket
 *     X-Debug: 1                                      X-Forwarded-Host: shop.example
 *                                                     X-Forwarded-Proto: http
 *                                                     traceparent: 00-0af7…-9e1b…-01   a span of this hop
 *
 * An answer of the sidecar's own is `application/problem+json`, and `Proxy-Status` says whose fault it was [RFC 9209].
 */
import { HttpProblem } from '@patterns/kit/problem';

/** How the sidecar is called in Via, Proxy-Status and Cache-Status. */
export const PSEUDONYM = 'sidecar';
export const VIA = `1.1 ${PSEUDONYM}`;

/** On the admin port, which faces the orchestrator and not the clients. */
export const LIVE = '/live';
export const READY = '/ready';
export const METRICS = '/metrics';

// #region failures
/**
 * Why the app did not answer, in the words of [RFC 9209 §2.3], and the status that the client gets for it.
 * 502: the app is not there, or broke off. 504: it is there and says nothing. 503: it is not even asked.
 */
const FAILURES = {
  connection_refused: [502, 'the app is not listening'],
  connection_terminated: [502, 'the app closed the connection without an answer'],
  http_protocol_error: [502, 'what the app answered is not HTTP'],
  connection_timeout: [504, 'the app did not accept the connection in time'],
  http_response_timeout: [504, 'the app did not answer in time'],
  // Too late for a status: the client's connection is cut, so that half an answer does not look like a whole one.
  http_response_incomplete: [502, 'the app broke off in the middle of its answer'],
  destination_unavailable: [503, 'the app has failed too often: it is left alone for a while'],
} as const satisfies Record<string, readonly [status: number, detail: string]>;

export type FailureCode = keyof typeof FAILURES;

/** The app failed to answer. (Whatever it does answer, be it a 500, is not a failure in this sense.) */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError';
  readonly code: FailureCode;

  constructor(code: FailureCode, options?: ErrorOptions) {
    super(FAILURES[code][1], options);
    this.code = code;
  }
}

const NOT_LISTENING = new Set(['ECONNREFUSED', 'ENOENT', 'EACCES']); // ENOENT: there is no socket file

/** What an error of Node's HTTP client or of a socket means before the head of an answer. */
export function asUpstreamError(error: Error & { code?: string }): UpstreamError {
  if (error instanceof UpstreamError) return error;
  const code = error.code ?? '';
  if (NOT_LISTENING.has(code)) return new UpstreamError('connection_refused', { cause: error });
  if (code.startsWith('HPE_')) return new UpstreamError('http_protocol_error', { cause: error });
  return new UpstreamError('connection_terminated', { cause: error });
}

/** What the client is told. @param headers more of them, such as Retry-After */
export function problemOf({ code, message }: UpstreamError, headers: Record<string, string> = {}): HttpProblem {
  return new HttpProblem(FAILURES[code][0], {
    detail: message,
    headers: { 'Proxy-Status': `${PSEUDONYM}; error=${code}`, ...headers },
  });
}
// #endregion
