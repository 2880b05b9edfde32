/**
 * The client's lanes: as many requests at once as the server allows on a session [RFC 9113 §5.1.2], and a bounded queue for the
 * rest, first come, first served. Node would queue as well, but without an end, and without saying so.
 */
import { Http2Error } from './http2-error.ts';
import type { Exchange, Reply, Session } from './session.ts';

interface Waiting {
  enter(session: Session): void;
  giveUp(error: Http2Error): void;
}

export class Lanes {
  readonly #open: (onChange: () => void) => Session;
  readonly #maxQueued: number;
  readonly #sessions = new Set<Session>();
  readonly #waiting = new Set<Waiting>();
  #current: Session | undefined;
  #isClosed = false;
  /** Sessions opened so far. */
  opened = 0;

  constructor(open: (onChange: () => void) => Session, maxQueued: number) {
    this.#open = open;
    this.#maxQueued = maxQueued;
  }

  get queued(): number {
    return this.#waiting.size;
  }

  /** Sends the request as soon as there is a lane for it. @throws {Http2Error} */
  async exchange(exchange: Exchange): Promise<Reply> {
    if (this.#isClosed) throw new Http2Error('closed', 'the client is closed');
    if (exchange.signal?.aborted)
      throw new Http2Error('aborted', 'aborted by the caller', { cause: exchange.signal.reason });
    if (this.#waiting.size > 0 || !this.#session().hasFreeLane) return this.#wait(exchange);
    return this.#session().exchange(exchange);
  }

  #wait(exchange: Exchange): Promise<Reply> {
    const { signal, deadline, queueMs } = exchange;
    if (this.#waiting.size >= this.#maxQueued)
      throw new Http2Error('queue-full', `${this.#maxQueued} requests wait already`);
    return new Promise((resolve, reject) => {
      const onAbort = () =>
        waiting.giveUp(new Http2Error('aborted', 'aborted by the caller', { cause: signal?.reason }));
      const onLate = () => waiting.giveUp(new Http2Error('queue-late', 'no lane became free within the time allowed'));
      const late = setTimeout(onLate, Math.min(queueMs, deadline - performance.now()));
      const leave = () => {
        clearTimeout(late);
        signal?.removeEventListener('abort', onAbort);
        this.#waiting.delete(waiting);
      };
      const waiting: Waiting = {
        enter(session) {
          leave();
          resolve(session.exchange(exchange));
        },
        giveUp(error) {
          leave();
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort);
      this.#waiting.add(waiting);
    });
  }

  /** The session for new requests: another one when the last is over. */
  #session(): Session {
    if (this.#current && !this.#current.isOver) return this.#current;
    const session: Session = this.#open(() => this.#changed(session));
    this.#sessions.add(session);
    this.#current = session;
    this.opened++;
    return session;
  }

  #changed(session: Session): void {
    if (session.isGone) this.#sessions.delete(session);
    for (const waiting of this.#waiting) {
      if (this.#isClosed || !this.#session().hasFreeLane) return;
      waiting.enter(this.#session());
    }
  }

  /** Ends every session, and with it what is open and what waits. */
  async close(): Promise<void> {
    this.#isClosed = true;
    for (const waiting of this.#waiting) waiting.giveUp(new Http2Error('closed', 'the client is closed'));
    await Promise.all(Array.from(this.#sessions, (session) => session.destroy()));
  }
}
