/**
 * A connection to RabbitMQ with one channel, which comes back by itself.
 *
 * What surprises in AMQP: an error closes the channel it happened on, and the broker gives all that was delivered there to others. What
 * surprises in amqplib: its `recovery` brings back the connection and nothing of what was on it, so here it is written out: channel,
 * queues, then whoever waits goes on. An error event that nobody listens to would end the process.
 */
import type { Duplex } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { QueueError } from './job.ts';

/** On this machine it takes milliseconds; TLS across an ocean, a second. */
const CONNECT_TIMEOUT_MS = 5_000;
/** A line that has brought nothing for two of these is dead. RabbitMQ proposes 60 s: too long for who waits. */
const HEARTBEAT_S = 10;
/** A broker that is well says goodbye in milliseconds. */
const FAREWELL_MS = 1_000;
const MAX_BACKOFF_MS = 2_000;

export interface LineOptions<C extends Channel> {
  url: string;
  /** Shown by the broker. */
  name: string;
  /** Opens the channel, and makes what has to be there: called for each new connection. */
  open: (model: ChannelModel) => Promise<C>;
  onProblem: (problem: Error) => void;
}

export interface Line<C extends Channel> {
  model: ChannelModel;
  channel: C;
  /** The broker is short of memory or disk, and reads nothing more from those who publish. [RabbitMQ docs: blocked connections] */
  isBlocked: boolean;
}

export class Reconnecting<C extends Channel> implements AsyncDisposable {
  readonly #options: LineOptions<C>;
  readonly #ending = new AbortController();
  #line = Promise.withResolvers<Line<C>>();
  #reconnected: Promise<void> = Promise.resolve();

  private constructor(options: LineOptions<C>) {
    this.#options = options;
  }

  /** Resolves when it is connected. @throws {QueueError} `unavailable` */
  static async open<C extends Channel>(options: LineOptions<C>): Promise<Reconnecting<C>> {
    const reconnecting = new Reconnecting(options);
    reconnecting.#use(await connectOnce(options));
    return reconnecting;
  }

  /** The line, or the next one, if that is there in time. @throws {QueueError} `unavailable` */
  async line(withinMs: number, signal?: AbortSignal): Promise<Line<C>> {
    using patience = timer(withinMs, signal);
    const line = await Promise.race([this.#line.promise, patience.over]);
    if (line) return line;
    throw new QueueError('unavailable', 'there is no connection to RabbitMQ');
  }

  /** Gives up this line for a new one, on which everything is made again. */
  drop({ model }: Line<C>): void {
    void close(model);
  }

  #use(line: Line<C>): void {
    const { onProblem } = this.#options;
    const lost = () => {
      line.model.off('close', lost);
      line.channel.off('close', lost);
      if (!this.#ending.signal.aborted) this.#reconnected = this.#reconnect(line);
    };
    // A channel that was closed takes its connection along: there is one way back, and it is tried every day.
    line.model.on('close', lost).on('error', (error) => onProblem(unavailable(error)));
    line.channel.on('close', lost).on('error', (error) => onProblem(unavailable(error)));
    line.model.on('blocked', () => (line.isBlocked = true)).on('unblocked', () => (line.isBlocked = false));
    this.#line.resolve(line);
  }

  async #reconnect(lost: Line<C>): Promise<void> {
    this.#line = Promise.withResolvers();
    await close(lost.model);
    for (let attempt = 0; !this.#ending.signal.aborted; attempt++) {
      // Full jitter: clients that lost the same broker do not all come back in one instant.
      const backoffMs = Math.random() * Math.min(50 * 2 ** attempt, MAX_BACKOFF_MS);
      await pause(backoffMs, undefined, { signal: this.#ending.signal }).catch(() => {});
      if (this.#ending.signal.aborted) return;
      try {
        const line = await connectOnce(this.#options);
        this.#use(line);
        return this.#ending.signal.aborted ? await close(line.model) : undefined;
      } catch (error) {
        this.#options.onProblem(error as Error);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#reconnected;
    const line = await this.line(0).catch(() => undefined);
    if (line) await close(line.model);
  }
}

async function connectOnce<C extends Channel>({ url, name, open }: LineOptions<C>): Promise<Line<C>> {
  const target = new URL(url);
  if (!target.searchParams.has('heartbeat')) target.searchParams.set('heartbeat', `${HEARTBEAT_S}`);
  const clientProperties = { connection_name: name };
  const options = { timeout: CONNECT_TIMEOUT_MS, noDelay: true, clientProperties };
  let model: ChannelModel | undefined;
  try {
    model = await connect(target.href, options);
    model.on('error', () => {}); // what it broke rejects
    return { model, channel: await open(model), isBlocked: false };
  } catch (error) {
    if (model) await close(model);
    throw unavailable(error);
  }
}

/** Says goodbye, after what was sent before; cuts a line that does not answer. Safe to call twice. */
async function close(model: ChannelModel): Promise<void> {
  using patience = timer(FAREWELL_MS);
  const closed = model.close().then(
    () => true,
    () => true, // it was closed before
  );
  if (await Promise.race([closed, patience.over])) return;
  (model.connection as unknown as { stream: Duplex }).stream.destroy();
}

/** `over` resolves when the time is up, or `signal` aborts. */
export function timer(ms: number, signal?: AbortSignal): Disposable & { over: Promise<undefined> } {
  const early = new AbortController();
  const either = signal ? AbortSignal.any([signal, early.signal]) : early.signal;
  const over = pause(ms, undefined, { signal: either }).catch(() => undefined);
  return { over, [Symbol.dispose]: () => early.abort() };
}

export function unavailable(cause: unknown): QueueError {
  if (cause instanceof QueueError) return cause;
  return new QueueError('unavailable', `RabbitMQ: ${cause instanceof Error ? cause.message : String(cause)}`, {
    cause,
  });
}
