/**
 * One connection of a client, from the ticket to the close code: the messages that come on it, until it ends, breaks, or falls
 * silent. What to do then is the business of client.ts.
 */
import { on, once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { text } from 'node:stream/consumers';
import { WebSocket } from 'ws';
import { decodeServerMessage, FINAL_CODES, PATHS, PROTOCOL, type ServerMessage } from './protocol.ts';

export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly code: 'refused' | 'ended';

  constructor(code: ChatError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A server that is well answers at once. */
const HANDSHAKE_TIMEOUT_MS = 5_000;
/** Whoever leaves does not wait long for the other side's goodbye. */
const CLOSE_TIMEOUT_MS = 1_000;
/** Messages that may wait for whoever iterates; then the socket is not read until half of them are gone. */
const MAX_WAITING = 100;

export interface ConnectOptions {
  ticket: string;
  cursor: string | undefined;
  silenceMs: number;
  signal: AbortSignal | undefined;
  /** Called with the socket when the server has welcomed us. */
  onOpen: (ws: WebSocket) => void;
}

// #region connect
/** @throws {ChatError} 'refused' when coming back cannot help; anything else that it throws is the line. */
export async function* connect(
  url: string,
  { ticket, cursor, silenceMs, signal, onOpen }: ConnectOptions,
): AsyncGenerator<ServerMessage> {
  const address = new URL(PATHS.chat, url);
  address.protocol = address.protocol === 'https:' ? 'wss:' : 'ws:';
  address.searchParams.set('ticket', ticket);
  if (cursor !== undefined) address.searchParams.set('after', cursor);
  const handling = {
    perMessageDeflate: false,
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    closeTimeout: CLOSE_TIMEOUT_MS,
  };
  const ws = new WebSocket(address, PROTOCOL, handling);
  // A peer that vanished is never reported to a reader. The server ticks, so silence means that somebody is gone.
  const silence = setTimeout(() => ws.terminate(), silenceMs);
  let end = { code: 1006, reason: '' };
  ws.on('message', () => silence.refresh());
  ws.on('error', () => {}); // the iterator below throws it while we listen
  ws.on('close', (code, reason) => {
    end = { code, reason: reason.toString() };
  });
  let refusal: number | undefined;
  ws.on('unexpected-response', (request, response) => {
    refusal = response.statusCode;
    request.destroy(new Error(`${refusal} at the handshake`));
  });
  const marks = { highWaterMark: MAX_WAITING, lowWaterMark: MAX_WAITING / 2 };
  try {
    for await (const [data] of on(ws, 'message', { close: ['close'], ...marks, ...(signal && { signal }) })) {
      const message = decodeServerMessage(data as Buffer);
      if (message?.type === 'welcome') onOpen(ws);
      if (message) yield message;
    }
  } catch (error) {
    if (isFinal(refusal)) throw new ChatError('refused', `${refusal} at the handshake of ${url}`, { cause: error });
    throw error;
  } finally {
    clearTimeout(silence);
    ws.close(1000); // whoever stops reading says goodbye
  }
  if (FINAL_CODES.has(end.code)) throw new ChatError('refused', `closed with ${end.code}: ${end.reason}`);
}
// #endregion

/** A request that cannot succeed later either. A ticket may have expired on the way (401), a limit passes (429). */
function isFinal(status = 0): boolean {
  return status >= 400 && status < 500 && status !== 401 && status !== 429;
}

export interface PostOptions {
  /** The text of the answer that is asked for. */
  field: string;
  body?: unknown;
  session?: string;
  signal?: AbortSignal | undefined;
}

/** Posts JSON to the server, and gives one text of its answer; undefined when we are not (any longer) logged in. */
export async function post(url: string, { field, body, session, signal }: PostOptions): Promise<string | undefined> {
  const request = (url.startsWith('https:') ? httpsRequest : httpRequest)(url, {
    method: 'POST',
    agent: false, // on a connection of its own: one kept for later may be as dead by then as the one that is to be replaced
    headers: {
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(session === undefined ? {} : { Authorization: `Bearer ${session}` }),
    },
    ...(signal && { signal }),
  });
  request.on('error', () => {}); // the promises below tell it
  const silence = setTimeout(() => request.destroy(new Error(`no answer from ${url}`)), HANDSHAKE_TIMEOUT_MS);
  try {
    request.end(body === undefined ? undefined : JSON.stringify(body));
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const answer = await text(response);
    const { statusCode } = response;
    if (statusCode === 401) return undefined;
    if (isFinal(statusCode)) throw new ChatError('refused', `${statusCode} from ${url}: ${answer}`);
    const value = (JSON.parse(answer) as Record<string, unknown>)[field];
    if (typeof value !== 'string') throw new Error(`${statusCode} from ${url}: ${answer}`);
    return value;
  } finally {
    clearTimeout(silence);
  }
}
