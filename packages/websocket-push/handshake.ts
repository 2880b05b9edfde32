/**
 * Who is let in, decided while it is still HTTP. What is refused here never becomes a WebSocket: it gets a status and a problem
 * as any request would, on the bare socket, which is then closed.
 *
 * A browser hides that status from its page (`onclose` says 1006, whatever it was), so what a program has to act upon is said
 * after the upgrade instead, by a close code: the cursor (protocol.ts).
 */
import { type IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { type Log, logRequests } from '@patterns/kit/log';
import { answerError, HttpProblem } from '@patterns/kit/problem';
import { continueTrace } from '@patterns/kit/trace';
import { PATHS, PROTOCOL } from './protocol.ts';
import type { Identity } from './tickets.ts';

export interface Guest extends Identity {
  /** Where to go on, as the client wrote it. */
  readonly after: string | undefined;
  /** Of the handshake: what follows belongs to the same trace. */
  readonly traceId: string;
}

export interface AdmissionOptions {
  /** Origins whose pages may connect. Without any: pages that came from this very host. */
  origins: readonly string[];
  redeem: (ticket: string) => Promise<Identity | undefined>;
}

// #region admit
/**
 * The guest, or why not: 404, 403 (a page of another origin), 400 (no common version), 401 (no valid ticket).
 * @throws {HttpProblem}
 */
export async function admit(request: IncomingMessage, { origins, redeem }: AdmissionOptions): Promise<Guest> {
  const [path, query] = (request.url ?? '').split('?');
  if (path !== PATHS.chat) throw new HttpProblem(404, { detail: `nothing is at ${path}` });
  // Browsers do not apply CORS to WebSockets: any page may open one, with this user's cookies [RFC 6455 §10.2].
  if (!isAllowedOrigin(request, origins))
    throw new HttpProblem(403, { detail: 'pages of this origin may not connect' });
  const offered = request.headers['sec-websocket-protocol']?.split(',').map((name) => name.trim());
  if (!offered?.includes(PROTOCOL)) {
    const errors = [{ field: 'Sec-WebSocket-Protocol', expected: PROTOCOL }];
    throw new HttpProblem(400, { detail: 'no version of the protocol in common', errors });
  }
  const parameters = new URLSearchParams(query);
  const identity = await redeem(parameters.get('ticket') ?? '');
  if (!identity)
    throw new HttpProblem(401, { detail: `the ticket is missing, used or expired: POST ${PATHS.tickets}` });
  const { traceId } = continueTrace(request.headers.traceparent as string | undefined);
  return { ...identity, after: parameters.get('after') ?? undefined, traceId };
}

function isAllowedOrigin({ headers: { origin, host } }: IncomingMessage, allowed: readonly string[]): boolean {
  // Every browser sends it. Who does not is a program: that could send any, so this check is not what keeps programs out.
  if (origin === undefined) return true;
  if (allowed.length > 0) return allowed.includes(origin);
  return URL.canParse(origin) && new URL(origin).host === host;
}
// #endregion

/** Answers an upgrade that is refused, as any other request, and closes the socket. */
export function refuse(log: Log, request: IncomingMessage, socket: Socket, error: unknown): number {
  const response = new ServerResponse(request);
  response.shouldKeepAlive = false;
  response.assignSocket(socket);
  response.once('finish', () => socket.destroySoon());
  logRequests(log)(request, response, () => answerError(log, response, error));
  return response.statusCode;
}
