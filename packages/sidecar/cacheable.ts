/**
 * Whether an answer may be stored, and for how long: the rules of [RFC 9111 §3], cut down to the side of caution.
 */
import type { IncomingMessage } from 'node:http';

/** Raw headers by lower-case name; what is repeated is joined. */
export function fieldsOf(rawHeaders: readonly string[]): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    const before = fields.get(name);
    fields.set(name, before === undefined ? rawHeaders[i + 1]! : `${before}, ${rawHeaders[i + 1]}`);
  }
  return fields;
}

/** `max-age=60, private` by name. */
export function directives(cacheControl = ''): ReadonlyMap<string, string> {
  const parts = cacheControl
    .toLowerCase()
    .split(',')
    .map((part) => part.trim().split('='));
  return new Map(parts.map(([name = '', value = '']) => [name, value.replaceAll('"', '')]));
}

/** The request headers that the answer depends on; undefined when it depends on everything (`*`). */
export function varyOf(fields: ReadonlyMap<string, string>): readonly string[] | undefined {
  const names = (fields.get('vary') ?? '')
    .toLowerCase()
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  return names.includes('*') ? undefined : names.sort();
}

/** How long it is fresh; 0 when that is not said: what a cache may guess [RFC 9111 §4.2.2], this one does not. */
export function lifetimeSeconds(fields: ReadonlyMap<string, string>): number {
  const answer = directives(fields.get('cache-control'));
  return Number(answer.get('s-maxage') ?? answer.get('max-age') ?? 0) || 0;
}

// #region neutral
/** What the app may read without its answer being another one. (If it is, it owes a Vary.) */
const NEUTRAL = new Set([
  'accept',
  'accept-encoding',
  'accept-language',
  'cache-control',
  'connection',
  'host', // in the key
  'pragma',
  'priority',
  'traceparent',
  'tracestate',
  'upgrade-insecure-requests',
  'user-agent',
]);

/** Whether nothing in the request could have shaped the answer that the next one with the same key does not bring along. */
function isKeyed({ rawHeaders, headers }: IncomingMessage, vary: readonly string[]): boolean {
  if (headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0) return false;
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (!NEUTRAL.has(name) && !name.startsWith('sec-') && !vary.includes(name)) return false;
  }
  return true;
}
// #endregion

/** Whether the answer to this GET may be given to others. Cookie and Authorization are not neutral: theirs are never stored. */
export function isStorable(
  request: IncomingMessage,
  fields: ReadonlyMap<string, string>,
  vary: readonly string[],
): boolean {
  const answer = directives(fields.get('cache-control'));
  return (
    lifetimeSeconds(fields) > 0 &&
    !answer.has('no-store') &&
    !answer.has('no-cache') &&
    !answer.has('private') &&
    !fields.has('set-cookie') &&
    (isKeyed(request, vary) || isPublicFor(request, answer, vary))
  );
}

/** A token is the one thing beside that may be there, when the app says that its answer is the same for everybody [RFC 9111 §3.5]. */
function isPublicFor(request: IncomingMessage, answer: ReadonlyMap<string, string>, vary: readonly string[]): boolean {
  return (
    answer.has('public') && request.headers.authorization !== undefined && isKeyed(request, [...vary, 'authorization'])
  );
}
