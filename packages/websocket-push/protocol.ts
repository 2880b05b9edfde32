/**
 * What crosses the wire. Before the socket, plain HTTP with JSON:
 *
 *     POST /login    {"name":"ann"}                          201 {"session":"…"}
 *     POST /tickets  Authorization: Bearer <session>         201 {"ticket":"…"}      good once, for 30 s
 *     GET  /chat?ticket=…&after=…  Upgrade: websocket        101, Sec-WebSocket-Protocol: chat.v1
 *
 * Then text frames, each a JSON object with a `type`. A client says; a server welcomes, passes events on, acknowledges, ticks:
 *
 *     → {"type":"say","id":"7f3a-1","text":"hello"}
 *     ← {"type":"welcome","user":"ann","cursor":"1795212000000-0"}
 *     ← {"type":"event","id":"1795212000001-0","topic":"room","at":1795212000001,"data":{"type":"said",…}}
 *     ← {"type":"ack","id":"7f3a-1","cursor":"1795212000001-0"}
 */
import { isCursor } from '@patterns/feed/cursor';
import type { FeedEvent } from '@patterns/feed/feed';

export const PATHS = { login: '/login', tickets: '/tickets', chat: '/chat' } as const;

/** Both sides name the version at the handshake, so that a later one can be served beside it [RFC 6455 §1.9]. */
export const PROTOCOL = 'chat.v1';

/** What the feed carries. The client's own message id comes back with its message, so that it knows it again. */
export type ChatData =
  | { readonly type: 'said'; readonly from: string; readonly id: string; readonly text: string }
  | { readonly type: 'notice'; readonly text: string };
export type ChatEvent = FeedEvent<ChatData>;

export const ROOM = 'room';
export const NOTICES = 'notices';

/** The same id again is the same message again: it is applied once, and acknowledged each time. */
export type ClientMessage = { readonly type: 'say'; readonly id: string; readonly text: string };

export type ServerMessage =
  /** The first one: who you are here, and a cursor from which nothing will be missed, even if no event ever comes. */
  | { readonly type: 'welcome'; readonly user: string; readonly cursor: string }
  | ({ readonly type: 'event' } & ChatEvent)
  /** The message is in the log, as the event with that cursor. */
  | { readonly type: 'ack'; readonly id: string; readonly cursor: string }
  /** The message may be in the log or not: send it again, with the same id. */
  | { readonly type: 'error'; readonly id: string; readonly detail: string }
  /** Your cursor had expired: what came before the next event is lost to you. */
  | { readonly type: 'reset'; readonly detail: string }
  /** The server is there. A browser program sees no pings, so what it may see is sent beside them. */
  | { readonly type: 'tick' };

/**
 * Why a connection ends [RFC 6455 §7.4.1, IANA]. 4000 to 4999 are an application's own. 1005 and 1006 are never sent: they
 * are what an API shows when no close frame came.
 */
export const CLOSE = {
  normal: 1000, // a client has what it wanted
  unsupportedData: 1003, // a binary frame
  invalidPayload: 1007, // not UTF-8, or not JSON
  policyViolation: 1008, // not a message of this protocol, too many of them, or a session that has ended
  messageTooBig: 1009,
  internalError: 1011,
  serviceRestart: 1012, // come back, to another server
  tryAgainLater: 1013, // come back, but not at once
  badCursor: 4400, // a status at the handshake would not reach a browser's program: it sees 1006, whatever the status
} as const;

/** After these a client does not come back: the same would happen again. */
export const FINAL_CODES: ReadonlySet<number> = new Set([
  CLOSE.unsupportedData,
  CLOSE.invalidPayload,
  CLOSE.policyViolation,
  CLOSE.messageTooBig,
  CLOSE.badCursor,
]);

/** What a connection may send: so many at once, so many a second from then on. A person types slower. */
export const RATE = { burst: 20, perSecond: 10 } as const;

export const MAX_TEXT = 2_000;

/** A refusal of a message, with the code to close with. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError';
  readonly code: number;

  constructor(code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

export const encode = (message: ServerMessage | ClientMessage): string => JSON.stringify(message);

// #region decode
/** What a server understands of a frame. It is strict: the client is a program, and a program that errs will go on erring. */
export function decodeClientMessage(data: Buffer, isBinary: boolean): ClientMessage {
  if (isBinary) throw new ProtocolError(CLOSE.unsupportedData, 'text frames only');
  const { type, id, text } = parse(data);
  if (type !== 'say') throw new ProtocolError(CLOSE.policyViolation, 'unknown type of message');
  if (!isText(id, 64)) throw new ProtocolError(CLOSE.policyViolation, 'say: id must be a text of 1 to 64 characters');
  if (!isText(text, MAX_TEXT)) {
    throw new ProtocolError(CLOSE.policyViolation, `say: text must be a text of 1 to ${MAX_TEXT} characters`);
  }
  return { type, id, text };
}
// #endregion

/** What a client understands of a frame; undefined for a type that it does not know, because a server may learn. */
export function decodeServerMessage(data: Buffer): ServerMessage | undefined {
  const message = parse(data);
  const { type, id, cursor, user, topic, at, detail } = message;
  const isValid = {
    welcome: typeof user === 'string' && isId(cursor),
    event: isId(id) && typeof topic === 'string' && typeof at === 'number' && typeof message.data === 'object',
    ack: typeof id === 'string' && isId(cursor),
    error: typeof id === 'string' && typeof detail === 'string',
    reset: typeof detail === 'string',
    tick: true,
  }[type as ServerMessage['type']];
  if (isValid === false)
    throw new ProtocolError(CLOSE.policyViolation, `not a message of ${PROTOCOL}: ${JSON.stringify(type)}`);
  return isValid ? (message as unknown as ServerMessage) : undefined;
}

function parse(data: Buffer): Record<string, unknown> {
  try {
    // JSON has numbers, texts and null as well: those have no type.
    return Object(JSON.parse(data.toString()));
  } catch (error) {
    throw new ProtocolError(CLOSE.invalidPayload, 'not JSON', { cause: error });
  }
}

const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.length > 0 && value.length <= most;
const isId = (value: unknown) => typeof value === 'string' && isCursor(value);
