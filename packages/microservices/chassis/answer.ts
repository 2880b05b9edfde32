/**
 * What a service answers, and how it is read: JSON is understood, and an error of the service's own is thrown.
 */
import type { Dispatcher } from 'undici';
import { DependencyError } from './dependency-error.ts';

export interface Answer {
  readonly status: number;
  /** By their names in lower case. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** What the JSON says, a text, or undefined when there is none. */
  readonly body: unknown;
}

/** Reads the answer of the dependency `name`. @throws {DependencyError} `refused` (5xx), `protocol` */
export function readAnswer(
  { statusCode: status, headers }: Dispatcher.ResponseData,
  text: string,
  name: string,
): Answer {
  const retryAfter = headerOf({ headers }, 'retry-after');
  if (status >= 500) throw new DependencyError('refused', name, { status, retryAfter });
  if (!/^application\/(?:[\w.+-]+\+)?json\b/.test(String(headers['content-type'])))
    return { status, headers, body: text || undefined };
  try {
    return { status, headers, body: JSON.parse(text) };
  } catch (cause) {
    throw new DependencyError('protocol', name, { cause });
  }
}

/** The first value of a header; null when there is none. */
export function headerOf({ headers }: Pick<Answer, 'headers'>, name: string): string | null {
  const value = headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
