/**
 * The one error of a call, over REST and GraphQL alike: what a caller does about it depends on the code.
 *  - `network`, `timeout`: no answer came; a question may be asked again
 *  - `refused`: the question was wrong, or asked too much: asking again cannot help
 *  - `not-found`: there is no such thing, or not for this viewer
 *  - `failed`: the server could not; later it may
 *  - `partial`: GraphQL only: some fields failed. What came is in `data`
 *  - `protocol`: the answer is not what the two agreed on
 */
export type CallErrorCode = 'network' | 'timeout' | 'refused' | 'not-found' | 'failed' | 'partial' | 'protocol';

export interface CallErrorOptions extends ErrorOptions {
  /** Of the answer, where there was one. */
  readonly status?: number;
  readonly data?: unknown;
}

export class CallError extends Error {
  override readonly name = 'CallError';
  readonly code: CallErrorCode;
  readonly status: number | undefined;
  readonly data: unknown;

  constructor(code: CallErrorCode, message: string, { status, data, ...options }: CallErrorOptions = {}) {
    super(message, options);
    this.code = code;
    this.status = status;
    this.data = data;
  }
}
