/**
 * Who may open a socket. A browser's WebSocket cannot set a header, so what proves the user has to be in the URL, and URLs end
 * up in logs and histories. Hence a ticket and not the session: good for one handshake, and for half a minute.
 *
 * A cookie would come along by itself, and on a page of anybody's: that is cross-site WebSocket hijacking [RFC 6455 §10.2].
 */
import { randomBytes } from 'node:crypto';
import type { ExpiringStore } from './store.ts';

export interface Identity {
  readonly user: string;
  /** When the session ends, in milliseconds since the epoch. */
  readonly expiresAt: number;
}

export interface TicketOptions {
  store: ExpiringStore;
  /** A working day. */
  sessionMs?: number | undefined;
  /** A slow phone's time from the ticket to the handshake. */
  ticketMs?: number | undefined;
}

// #region tickets
export class Tickets {
  readonly #store: ExpiringStore;
  readonly #sessionMs: number;
  readonly #ticketMs: number;

  constructor({ store, sessionMs = 8 * 3_600_000, ticketMs = 30_000 }: TicketOptions) {
    this.#store = store;
    this.#sessionMs = sessionMs;
    this.#ticketMs = ticketMs;
  }

  /** Begins a session. It stands for a real login, which would ask for more than a name. */
  async login(user: string): Promise<string> {
    const session = secret();
    const identity: Identity = { user, expiresAt: Date.now() + this.#sessionMs };
    await this.#store.set(`session:${session}`, JSON.stringify(identity), this.#sessionMs);
    return session;
  }

  /** A ticket for the owner of a session; undefined when the session is none, or has ended. */
  async issue(session: string): Promise<string | undefined> {
    const identity = await this.#store.get(`session:${session}`);
    if (identity === undefined) return undefined;
    const ticket = secret();
    await this.#store.set(`ticket:${ticket}`, identity, this.#ticketMs);
    return ticket;
  }

  /** Whose ticket it is; undefined when it is none, has expired, or was redeemed before, here or at another server. */
  async redeem(ticket: string): Promise<Identity | undefined> {
    const identity = await this.#store.take(`ticket:${ticket}`);
    return identity === undefined ? undefined : (JSON.parse(identity) as Identity);
  }
}
// #endregion

/** 128 bits: beyond guessing. */
const secret = () => randomBytes(16).toString('base64url');
