/**
 * Talks in the room from a program. A WebSocket does nothing by itself when its line breaks: reconnecting, resuming, and
 * saying again what nobody acknowledged are this file.
 *
 * It ends when `signal` aborts or the caller stops iterating, and with an error when coming back cannot help (a 4xx at the
 * handshake, a close code such as 1008).
 */
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { compareIds } from '@patterns/feed/cursor';
import { NOTHING_SEEN } from '@patterns/feed/feed';
import { envInteger } from '@patterns/kit/env';
import { main } from '@patterns/kit/main';
import { ChatError, connect, post } from './connect.ts';
import { Outgoing } from './outgoing.ts';
import { type ChatEvent, PATHS, type ServerMessage } from './protocol.ts';

export interface ChatOptions {
  /** Who we are, if there is no session. It stands for the credentials of a real login. */
  name?: string;
  /** What a login gave. Without it, or when it has ended: logs in as `name`. */
  session?: string | undefined;
  /** The id of the last event already seen. Without it: what comes from now on. */
  after?: string | undefined;
  signal?: AbortSignal | undefined;
  /** Told when the cursor had expired: some events are lost for good. */
  onReset?: (detail: string) => void;
  /** Silence after which the line counts as dead: nearly three of the server's ticks. */
  silenceMs?: number;
  /** The longest wait before the second attempt; it doubles with each further one. */
  firstDelayMs?: number;
  /** The longest wait of all: 30 s, so that whoever looks again does not find it asleep. */
  maxDelayMs?: number;
}

export interface Chat {
  /** Resolves with the cursor of the event when the message is in the room. Needs somebody to iterate `messages`. */
  say(text: string): Promise<string>;
  /** Everything after the cursor, in order, each once; our own messages too. Nothing happens until it is iterated. */
  readonly messages: AsyncGenerator<ChatEvent>;
}

/** Joins the room. */
export function openChat(url: string, options: ChatOptions = {}): Chat {
  const outgoing = new Outgoing();
  return { say: (text) => outgoing.say(text), messages: converse(url, outgoing, options) };
}

/** Only listens. @throws {ChatError} when the server refuses for good. */
export function subscribe(url: string, options: ChatOptions = {}): AsyncGenerator<ChatEvent> {
  return openChat(url, options).messages;
}

// #region converse
async function* converse(url: string, outgoing: Outgoing, options: ChatOptions): AsyncGenerator<ChatEvent> {
  const { name = 'guest', after, signal, onReset, silenceMs = 40_000 } = options;
  const { firstDelayMs = 500, maxDelayMs = 30_000 } = options;
  let cursor = after;
  let session = options.session;
  let reason = new ChatError('ended', 'the conversation has ended');

  /** What comes on one connection. Each begins with a new ticket, because a ticket is good for one handshake. */
  async function* messages(): AsyncGenerator<ServerMessage> {
    session ??= await post(`${url}${PATHS.login}`, { field: 'session', body: { name }, signal });
    const ticket = session && (await post(`${url}${PATHS.tickets}`, { field: 'ticket', session, signal }));
    if (!ticket)
      session = undefined; // it has ended: a real client would ask its user to log in again
    else yield* connect(url, { ticket, cursor, silenceMs, signal, onOpen: (ws) => outgoing.attach(ws) });
  }

  try {
    for (let attempt = 0; !signal?.aborted; attempt++) {
      try {
        for await (const message of messages()) {
          attempt = 0;
          if (message.type === 'welcome') cursor ??= message.cursor;
          else if (message.type === 'ack') outgoing.acknowledge(message.id, message.cursor);
          else if (message.type === 'error')
            break; // what was not taken goes out again on the next connection
          else if (message.type === 'reset') {
            cursor = NOTHING_SEEN;
            onReset?.(message.detail);
          } else if (message.type === 'event' && (cursor === undefined || compareIds(message.id, cursor) > 0)) {
            const { type: _, ...event } = message;
            cursor = event.id;
            yield event;
          }
        }
      } catch (error) {
        // Anything else is the line: it was cut, refused, or silent for too long.
        if (error instanceof ChatError) {
          reason = error;
          throw error;
        }
      } finally {
        outgoing.detach();
      }
      // A random time, from none to a limit that grows with each failure ("full jitter"): clients that lost the same server
      // must not all come back in the same instant, again and again.
      const mostMs = Math.min(maxDelayMs, firstDelayMs * 2 ** attempt);
      await delay(Math.random() * mostMs, undefined, { signal }).catch(() => {});
    }
  } finally {
    outgoing.end(reason);
  }
}
// #endregion

if (import.meta.main) {
  await main(async (_stack, signal) => {
    const [url, name = 'guest', after] = process.argv.slice(2);
    if (!url)
      return console.log('usage: node client.ts <url of a server> [name] [cursor]   then type what you want to say');
    const onReset = (detail: string) => console.log(`reset: ${detail}`);
    const chat = openChat(url, {
      name,
      after,
      signal,
      onReset,
      silenceMs: envInteger('SILENCE_MS', 40_000, { min: 1 }),
    });
    createInterface({ input: process.stdin }).on('line', (text) => {
      if (text) chat.say(text).catch((error: Error) => console.error(`not said: ${text} (${error.message})`));
    });
    for await (const { id, at, data } of chat.messages) {
      const text = data.type === 'said' ? `${data.from}: ${data.text}` : data.text;
      console.log(`${text}  ${Date.now() - at} ms  id ${id}`);
    }
  });
}
