/**
 * The desk's ear: what the channel has brought and the reader has not taken yet, and any reason to suspect that it did not bring all.
 * Bounded: when the reader is too far behind, what waits is forgotten here, because the log has it. Ends when disposed.
 */
import type { Clue } from './gap.ts';
import { type Envelope, PubSubError } from './protocol.ts';
import { Subscriber } from './redis-subscriber.ts';

export type Numbered = Envelope & { readonly seq: number };

export interface LiveOptions {
  url: string;
  prefix: string;
  channel: string;
  onProblem: (problem: PubSubError) => void;
  maxPending: number;
  lookEveryMs: number;
  signal: AbortSignal | undefined;
}

/** A dead line is found within three of these; a Redis answers a thousand pings in a millisecond. */
const PING_MS = 5_000;

export class Live implements AsyncDisposable {
  readonly heard: Numbered[] = [];
  suspicion: Clue | undefined;
  readonly #options: LiveOptions;
  readonly #subscriber: Subscriber;
  readonly #looking: NodeJS.Timeout;
  #wake = () => {};
  #isOpen = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    const onResubscribed = () => this.#suspect('resubscription');
    this.#subscriber = new Subscriber({ ...options, sharded: false, pingMs: PING_MS, onResubscribed });
    this.#looking = setInterval(() => this.#suspect('look'), options.lookEveryMs);
    options.signal?.addEventListener('abort', this.#stop);
  }

  /** Resolves when Redis has acknowledged it: whatever is published from now on is heard, or leaves a gap. */
  async open(): Promise<void> {
    if (this.#isOpen) return;
    await this.#subscriber.add(this.#options.channel, false, (message) => this.#hear(message));
    this.#isOpen = true;
  }

  /** Resolves when there is something to take, to look into, or when it is over. */
  async wait(): Promise<void> {
    if (this.heard.length > 0 || this.suspicion || this.#options.signal?.aborted) return;
    await new Promise<void>((resolve) => (this.#wake = resolve));
  }

  /** Resolves when everything that was published before has been heard, if it is ever to be. */
  flush(): Promise<void> {
    return this.#subscriber.flush();
  }

  #hear(message: Envelope): void {
    if (!isNumbered(message)) {
      this.#options.onProblem(new PubSubError('malformed-message', `a message without a number, from somebody else`));
      return;
    }
    if (this.heard.length >= this.#options.maxPending) {
      this.heard.length = 0;
      this.suspicion = 'look';
    }
    this.heard.push(message);
    this.#wake();
  }

  #suspect(clue: Clue): void {
    this.suspicion ??= clue;
    this.#wake();
  }

  readonly #stop = (): void => this.#wake();

  /** Safe to call twice. */
  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#looking);
    this.#options.signal?.removeEventListener('abort', this.#stop);
    await this.#subscriber.close();
    this.#wake();
  }
}

const isNumbered = (message: Envelope): message is Numbered => message.seq !== undefined;
