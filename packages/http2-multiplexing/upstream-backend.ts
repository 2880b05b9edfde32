/**
 * One backend: its connections, how many requests hold one, and whether it is worth asking just now.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { buildConnector, Pool } from 'undici';

export interface BackendOptions {
  /** At most. */
  connections: number;
  /** For a SYN to be answered. */
  connectMs: number;
  /** How long it is left alone when it could not be reached, before it is asked whether it is back. */
  ejectMs: number;
  /** What it is asked then; any answer will do. */
  probePath: string;
}

export class Backend implements AsyncDisposable {
  readonly url: string;
  readonly pool: Pool;
  /** Requests that hold a connection. */
  busy = 0;
  /** Connections open now. */
  sockets = 0;
  isEjected = false;
  readonly #options: BackendOptions;
  readonly #closed = new AbortController();

  constructor(url: string, options: BackendOptions) {
    this.url = url;
    this.#options = options;
    const connect = buildConnector({ timeout: options.connectMs });
    const counted: typeof connect = (to, callback) =>
      connect(to, (...result) => {
        if (result[1]) {
          this.sockets++;
          result[1].once('close', () => this.sockets--);
        }
        callback(...result);
      });
    // One request at a time on a connection: over HTTP/1.1 answers come in order, and a slow one would hold the others up.
    this.pool = new Pool(url, { connections: options.connections, pipelining: 1, connect: counted });
  }

  get hasRoom(): boolean {
    return this.busy < this.#options.connections;
  }

  // #region eject
  /** Leaves it out until it answers a question that costs nobody anything. @param onReturn is called then. */
  eject(onReturn: () => void): void {
    if (this.isEjected) return;
    this.isEjected = true;
    this.#probe().then(onReturn, () => {}); // or it was closed
  }

  async #probe(): Promise<void> {
    const { ejectMs, probePath: path } = this.#options;
    const { signal } = this.#closed;
    while (this.isEjected) {
      await delay(ejectMs, undefined, { signal });
      const asked = this.pool.request({ method: 'GET', path, headersTimeout: ejectMs, signal });
      const answer = await asked.catch(() => undefined);
      await answer?.body.dump();
      this.isEjected = !answer;
    }
  }
  // #endregion

  /** Closes its connections, without regard to what is on them. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.pool.destroy();
  }
}
