/**
 * An operation ends when its time is up or its client has gone: its statements are cancelled, and no resolver is waited for.
 *
 * What surprises: graphql's own `abortSignal` gives up the whole answer. Here each field that is still being waited for
 * fails by itself, whether its resolver listens to the signal or not, and what is there already is sent: partial data, in time.
 */
import type { GraphQLFieldResolver } from 'graphql';

export interface Deadline extends Disposable {
  /** Aborts when it is over, with a TimeoutError or with what `whenLeft` says. */
  readonly signal: AbortSignal;
  /** Rejects then. */
  readonly isOver: Promise<never>;
}

/** Begins to count. @param left aborts when nobody waits any more. @param ms for the operation as a whole. */
export function startDeadline(left: AbortSignal, ms: number): Deadline {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(new DOMException(`not within ${ms} ms`, 'TimeoutError')), ms);
  const leave = () => stop.abort(left.reason);
  left.addEventListener('abort', leave);
  const isOver = new Promise<never>((_, reject) => {
    stop.signal.addEventListener('abort', () => reject(stop.signal.reason));
  });
  isOver.catch(() => {}); // there need not be a resolver that waits
  return {
    signal: stop.signal,
    isOver,
    [Symbol.dispose]() {
      clearTimeout(timer);
      left.removeEventListener('abort', leave); // a subscription lives longer than each of its events
    },
  };
}

// #region cut-off
/** The resolver, given up when the operation's time is up. */
export function cutOff<Source, Context extends { readonly deadline: Deadline }>(
  resolver: GraphQLFieldResolver<Source, Context>,
): GraphQLFieldResolver<Source, Context> {
  return (source, args, context, info) => {
    const value = resolver(source, args, context, info);
    return value instanceof Promise ? Promise.race([value, context.deadline.isOver]) : value;
  };
}
// #endregion
