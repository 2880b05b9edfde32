/** The life of one subscription, the same for every broker: open until closed, by hand, by signal, or because it cannot go on. */
import type { Subscription } from './broker.ts';

/** Those of one broker, so that its end can be theirs. */
export class Subscriptions {
  readonly #open = new Set<Subscription>();

  /** `end` is called once. When `running` is given and ends first, the subscription is over with it, and with its error. */
  add(
    end: () => Promise<void>,
    { signal, running }: { signal?: AbortSignal | undefined; running?: Promise<void> } = {},
  ) {
    const over = Promise.withResolvers<void>();
    over.promise.catch(() => {}); // who never asks is not told
    let closing: Promise<void> | undefined;
    const close = () => {
      closing ??= end().finally(() => {
        this.#open.delete(subscription);
        signal?.removeEventListener('abort', onAbort);
        over.resolve();
      });
      return closing;
    };
    const onAbort = () => void close();
    const subscription: Subscription = { close, ended: over.promise, [Symbol.asyncDispose]: close };
    this.#open.add(subscription);
    running?.catch((error) => {
      over.reject(error);
      void close();
    });
    signal?.addEventListener('abort', onAbort);
    if (signal?.aborted) void close();
    return subscription;
  }

  /** Closes all that are open. */
  async close(): Promise<void> {
    await Promise.all([...this.#open].map((subscription) => subscription.close()));
  }
}
