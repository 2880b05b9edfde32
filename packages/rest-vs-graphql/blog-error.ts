/**
 * What can go wrong in the blog, whichever server is asked. Each server says it in its own way: REST as a status, GraphQL as a code.
 */
import type { FieldError } from '@patterns/kit/problem';

/** - `invalid`: the input makes no sense; `errors` says where
 *  - `unauthenticated`: nobody knows who asks, and it matters
 *  - `forbidden`: it is known, and it may not be
 *  - `not-found`: it is not there, or not for whoever asks
 *  - `conflict`: somebody else was first: the row has another version by now
 *  - `unavailable`: the database was too slow, or could not be reached; nothing was done */
export type BlogErrorCode = 'invalid' | 'unauthenticated' | 'forbidden' | 'not-found' | 'conflict' | 'unavailable';

/** Its message is meant for whoever asked; its cause is not. */
export class BlogError extends Error {
  override readonly name = 'BlogError';
  readonly code: BlogErrorCode;
  readonly errors: readonly FieldError[];

  constructor(code: BlogErrorCode, message: string, options: ErrorOptions & { errors?: readonly FieldError[] } = {}) {
    super(message, options);
    this.code = code;
    this.errors = options.errors ?? [];
  }
}
