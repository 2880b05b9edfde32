/**
 * What every finder in this package answers with, and the one way in which it fails.
 */
import { ConfigError } from '@patterns/kit/env';

/** A server that answers. Disposing it ends what we started and leaves alone what was there before us. */
export interface Service extends AsyncDisposable {
  /** Where it answers, credentials included: never log it, log `about`. */
  readonly url: string;
  readonly origin: 'environment' | 'compose' | 'started';
  /** One line for people, without a password: "started redis-server 7.0.15 on 127.0.0.1:20111, gone when this ends". */
  readonly about: string;
}

export interface FindOptions {
  /** Read for the service's own variable (REDIS_URL, DATABASE_URL, AMQP_URL, ...) and PATH. */
  env?: NodeJS.ProcessEnv;
  /** Called with a line for people before anything that takes longer than a second. */
  progress?: (line: string) => void;
  signal?: AbortSignal;
  /** Where to look for the server of docker-compose.yml, when not on the port that the file publishes. */
  composePort?: number;
}

/** - `invalid-url`: an environment variable does not hold the address of such a server
 *  - `unreachable`: the environment names a server that does not answer
 *  - `too-old`: it answers, in a version we cannot use
 *  - `not-installed`: there is none, and we may not install one
 *  - `install-failed`: the system's package manager refused
 *  - `start-failed`: our own did not come up */
export type ServiceErrorCode =
  | 'invalid-url'
  | 'unreachable'
  | 'too-old'
  | 'not-installed'
  | 'install-failed'
  | 'start-failed';

/** Its message is one line that says what to do next, with the exact command where there is one. */
export class ServiceError extends ConfigError {
  override readonly name = 'ServiceError';
  readonly code: ServiceErrorCode;

  constructor(code: ServiceErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** The address of a server given by the environment; undefined when the variable is unset or empty.
 *  Throws `invalid-url`, whose message repeats nothing of the value: it may hold a password. */
export function urlFromEnv(env: NodeJS.ProcessEnv, name: string, protocols: string[]): URL | undefined {
  const value = env[name];
  if (!value) return undefined;
  const url = URL.parse(value);
  if (url !== null && protocols.includes(url.protocol) && url.hostname !== '') return url;
  throw new ServiceError(
    'invalid-url',
    `${name} is not a URL of the form ${protocols[0]}//user:password@host:port: correct it, or unset it`,
  );
}

/** The same address, fit for a log. */
export function redacted(url: URL | string): string {
  const shown = new URL(url);
  if (shown.password !== '') shown.password = '***';
  return shown.href;
}

/** The first line of what went wrong; a refused connection to several addresses has its message in its parts. */
export function reason(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reason(error.errors[0]);
  return String(error instanceof Error ? error.message || error.name : error).split('\n', 1)[0] ?? '';
}

// Below a second nobody wonders what is going on.
const quietMs = 1_000;

/** Waits for `work`, and says what is being waited for when that takes longer than a second. */
export async function announced<T>(work: Promise<T>, line: string, progress?: (line: string) => void): Promise<T> {
  const timer = setTimeout(() => progress?.(line), quietMs);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
