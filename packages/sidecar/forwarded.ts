/**
 * Who asks, and what the app is told about it. The address is the socket's: `X-Forwarded-For` is a header like any other, and
 * whoever wants to be somebody else sends one. Only what proxies of our own have appended is believed.
 */
import type { IncomingMessage } from 'node:http';
import { toTraceparent } from '@patterns/kit/trace';
import type { Exchange } from './exchange.ts';
import { endToEnd } from './hop-by-hop.ts';
import { VIA } from './protocol.ts';

/**
 * The client's address. With `trustedHops` proxies of our own in front, it is the entry that the outermost one of them has
 * appended: the `trustedHops`-th from the right. What stands further left was written by the client.
 */
export function clientAddress({ socket, headers }: IncomingMessage, trustedHops: number): string {
  const address = plain(socket.remoteAddress ?? '');
  if (trustedHops === 0) return address;
  const told = String(headers['x-forwarded-for'] ?? '').split(',');
  return plain(told.at(-trustedHops)?.trim() ?? '') || address;
}

/** An IPv4 address that came in through an IPv6 socket, as itself. */
const plain = (address: string) => (address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address);

/** What a client may say of itself and nobody should believe. The first five are set anew. */
const OURS = new Set([
  'host',
  'traceparent',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-forwarded-port',
  'x-forwarded-server',
  'x-real-ip',
  'forwarded', // one of the two families is enough: two that disagree are how proxies are fooled [RFC 7239 §8.1]
  'x-authenticated-subject',
  // The framing is computed for this connection, the sidecar has answered 100 itself.
  'content-length',
  'expect',
]);

const MEANS_A_BODY = new Set(['POST', 'PUT', 'PATCH']);

// #region outgoing
/** The headers for the app: the client's, without what concerns this connection only, and with what the sidecar knows. */
export function outgoingHeaders(exchange: Exchange, hasBody: boolean): string[] {
  const { request, trace, host, subject } = exchange;
  const { headers } = request;
  const outgoing = endToEnd(request.rawHeaders, (name) => {
    if (OURS.has(name)) return true;
    if (name === 'tracestate') return trace.parentId === undefined; // of a traceparent that was none [W3C Trace Context §3.3]
    return name === 'authorization' && subject !== undefined; // checked: whoever does not need a secret is not given it
  });
  const forwardedFor = [...trustedPart(exchange), plain(request.socket.remoteAddress ?? '')].join(', ');
  outgoing.push('Host', host, 'Via', VIA);
  outgoing.push('X-Forwarded-For', forwardedFor, 'X-Forwarded-Host', host, 'X-Forwarded-Proto', 'http');
  outgoing.push('traceparent', toTraceparent(trace));
  if (subject !== undefined) outgoing.push('X-Authenticated-Subject', encodeURIComponent(subject));
  // One of the two, never both: where two parsers disagree about the end of a body, requests are smuggled [RFC 9112 §11.2].
  if (hasBody && headers['content-length'] !== undefined) outgoing.push('Content-Length', headers['content-length']);
  else if (hasBody) outgoing.push('Transfer-Encoding', 'chunked');
  else if (MEANS_A_BODY.has(request.method ?? '')) outgoing.push('Content-Length', '0'); // [RFC 9110 §8.6]
  return outgoing;
}
// #endregion

/** The client, when proxies of our own have told of it: then it is not the socket's address. */
function trustedPart({ client, request }: Exchange): string[] {
  return client === plain(request.socket.remoteAddress ?? '') ? [] : [client];
}

/** Whether a body follows [RFC 9112 §6.3]. */
export function announcesBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;
}
