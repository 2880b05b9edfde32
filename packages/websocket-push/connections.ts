/** The open connections of a server: how many there may be, in all and for one user, and how they end together. */
import type { Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpProblem } from '@patterns/kit/problem';
import type { WebSocket } from 'ws';
import { Outbox, Outboxes } from './outbox.ts';
import { RATE } from './protocol.ts';
import { TokenBucket } from './rate.ts';
import type { Identity } from './tickets.ts';

export interface ConnectionLimits {
  maxConnections: number;
  maxPerUser: number;
  maxBufferedBytes: number;
  maxPending: number;
}

export type CutOffReason = 'slow' | 'silent';

export class Connections {
  readonly open = new Set<Connection>();
  readonly #byUser = new Map<string, number>();
  readonly #outboxes: Outboxes;
  readonly #limits: ConnectionLimits;
  readonly #onCutOff: (reason: CutOffReason) => void;

  constructor(limits: ConnectionLimits, onCutOff: (reason: CutOffReason) => void) {
    this.#limits = limits;
    this.#onCutOff = onCutOff;
    this.#outboxes = new Outboxes(limits);
  }

  /** @throws {HttpProblem} 503 when this server is full, 429 when this user is. Both pass. */
  checkRoom(user: string): void {
    const headers = { 'Retry-After': '5' };
    if (this.open.size >= this.#limits.maxConnections) {
      throw new HttpProblem(503, { detail: 'too many connections are open', headers });
    }
    if ((this.#byUser.get(user) ?? 0) >= this.#limits.maxPerUser) {
      throw new HttpProblem(429, { detail: 'too many connections of yours are open', headers });
    }
  }

  add(ws: WebSocket, socket: Socket, identity: Identity): Connection {
    const connection = new Connection(ws, socket, identity, this.#outboxes, this.#onCutOff);
    this.open.add(connection);
    this.#byUser.set(identity.user, (this.#byUser.get(identity.user) ?? 0) + 1);
    return connection;
  }

  remove(connection: Connection): void {
    if (!this.open.delete(connection)) return;
    const { user } = connection.identity;
    const left = this.#byUser.get(user)! - 1;
    if (left > 0) this.#byUser.set(user, left);
    else this.#byUser.delete(user);
  }

  /** Bytes that wait for slow peers now. */
  get bufferedBytes(): number {
    let sum = 0;
    for (const { outbox } of this.open) sum += outbox.bufferedBytes;
    return sum;
  }

  // #region close-all
  /**
   * Closes all of them, a few at a time: clients that lose their connection in the same instant come back in the same
   * instant. A thousand a second, or more when they would not be through `withinMs` from now.
   */
  async closeAll(code: number, reason: string, { withinMs }: { withinMs: number }): Promise<void> {
    const everyMs = 10;
    const connections = [...this.open];
    const atOnce = Math.max(everyMs, Math.ceil((connections.length * everyMs) / withinMs));
    while (connections.length > 0) {
      for (const connection of connections.splice(0, atOnce)) connection.close(code, reason);
      if (connections.length > 0) await delay(everyMs);
    }
  }
  // #endregion
}

/** One client, from the upgrade until its socket is closed. */
export class Connection {
  readonly ws: WebSocket;
  readonly socket: Socket;
  readonly identity: Identity;
  readonly outbox: Outbox;
  readonly openedAt = Date.now();
  /** What had been read of it at the last heartbeat. */
  bytesHeard = 0;

  readonly #onCutOff: (reason: CutOffReason) => void;
  #messages: TokenBucket | undefined;

  constructor(
    ws: WebSocket,
    socket: Socket,
    identity: Identity,
    outboxes: Outboxes,
    onCutOff: (reason: CutOffReason) => void,
  ) {
    this.ws = ws;
    this.socket = socket;
    this.identity = identity;
    this.outbox = new Outbox(socket, outboxes, this);
    this.#onCutOff = onCutOff;
  }

  /** What it may still say. Made when it first says something: most only listen. */
  get messages(): TokenBucket {
    this.#messages ??= new TokenBucket(RATE);
    return this.#messages;
  }

  get isOpen(): boolean {
    return this.ws.readyState === this.ws.OPEN;
  }

  /** Sends what is pending, then a close frame. The peer answers with its own, or is cut off after a while. */
  close(code: number, reason: string): void {
    this.outbox.flush();
    this.ws.close(code, reason);
  }

  /** Ends it without a word: a close frame would wait in the same buffers as all the rest. */
  cutOff(reason: CutOffReason): void {
    this.#onCutOff(reason);
    this.ws.terminate();
  }
}
