/**
 * What crosses when a message changes its version, HTTP/2 to HTTP/1.1 and back: pure functions, no socket in sight.
 *
 * HTTP/2 says in frames where a message ends, HTTP/1.1 in its text. A field that is harmless in one is framing in the other, so
 * nothing is copied: what belongs to one connection is dropped, the rest is looked at, and the framing is written anew. A proxy
 * that copies lets its client write a second request into the first one's body [RFC 9113 §10.3, RFC 9112 §11.2].
 */

/** Names and values in turn, as they came: Node's `rawHeaders`. */
export type RawFields = readonly string[];

/** By lower-case name. Only `set-cookie` has more than one value. */
export type Fields = Record<string, string | string[]>;

/** A message that must not cross. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError';
}

/** Of one connection only [RFC 9110 §7.6.1, RFC 9113 §8.2.2]; to these add what `Connection` names. */
const HOP_BY_HOP = new Set(
  ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings'].concat([
    'proxy-connection',
    'proxy-authenticate',
    'proxy-authorization',
    'proxy-authentication-info',
  ]),
);

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** No control character but the tab: CR, LF and NUL are what splits a message in two [RFC 9110 §5.5]. */
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

// #region crossing
/**
 * The fields that cross, by name. Lines of one name become one line, which means the same [RFC 9110 §5.3]; `cookie` was cut
 * in crumbs for the sake of compression and is joined by `; ` [RFC 9113 §8.2.3]; `set-cookie` alone cannot be joined.
 * @throws {MalformedError} for a name or value that would be read as something else on the other side.
 */
export function fieldsThatCross(raw: RawFields): Fields {
  const values = new Map<string, string[]>();
  for (let i = 0; i < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const value = raw[i + 1]!.trim();
    if (name.startsWith(':')) continue; // of HTTP/2: method, path and their like are read by name
    if (!TOKEN.test(name)) throw new MalformedError('a field has a name that is none');
    if (!VALUE.test(value)) throw new MalformedError(`the field ${name} has a control character in its value`);
    const seen = values.get(name);
    if (seen) seen.push(value);
    else values.set(name, [value]);
  }
  for (const name of (values.get('connection') ?? []).join().split(',')) values.delete(name.trim().toLowerCase());
  for (const name of HOP_BY_HOP) values.delete(name);
  const joined = [...values].map(([name, of]) => [name, name === 'set-cookie' ? of : of.join(SEPARATOR[name] ?? ', ')]);
  return Object.fromEntries(joined);
}
// #endregion

const SEPARATOR: Record<string, string> = { cookie: '; ' };

/** A request's head, whichever version it came in: of HTTP/2 Node tells `:path` as the target. */
export interface RequestHead {
  readonly method: string;
  readonly target: string;
  readonly raw: RawFields;
  /** Of the connection it came on. */
  readonly version: string;
  readonly from: string;
  readonly scheme: 'http' | 'https';
  /** Whether anything follows the head: known by a frame's flag, or by a field, never guessed. */
  readonly hasBody: boolean;
}

export interface CheckedRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly fields: Fields;
}

// #region request
/**
 * A request as it may go on, to a server of any version. What says who asked is written anew, never added to what the client
 * claims; of the framing a length is left, where the client told one, and whoever sends the body holds it to that.
 * @throws {MalformedError} [RFC 9113 §8.1.1, RFC 9112 §3]
 */
export function checkRequest({ method, target, raw, version, from, scheme, hasBody }: RequestHead): CheckedRequest {
  if (!TOKEN.test(method)) throw new MalformedError('the method is no token');
  // One form of target only: `/path`. Whatever else a request line may hold would be read in two ways [RFC 9112 §3.2].
  if (!/^\/[\x21\x22\x24-\x7e]*$/.test(target)) throw new MalformedError('the target must be a path, from / on');
  const authority = authorityOf(raw);
  const { host: _, expect: __, 'content-length': length, ...fields } = fieldsThatCross(raw);
  for (const name of Object.keys(fields)) if (/^(x-forwarded-.*|forwarded)$/.test(name)) delete fields[name];
  const codings = valuesOf(raw, 'transfer-encoding');
  if (codings.length > 0 && (version !== '1.1' || length !== undefined || codings.join().toLowerCase() !== 'chunked'))
    throw new MalformedError('the content is framed in two ways, or in one that is not known here');
  if (length !== undefined && (!/^\d{1,15}$/.test(String(length)) || (Number(length) > 0 && !hasBody)))
    throw new MalformedError('Content-Length is no length, or not that of the content');
  if (hasBody && length !== undefined) fields['content-length'] = length;
  fields['x-forwarded-for'] = from;
  fields['x-forwarded-proto'] = scheme;
  fields['x-forwarded-host'] = authority;
  return { method, path: target, authority, fields: { ...fields, via: viaOf(fields, version) } };
}

/** `:authority`, or `Host`: once, the same where both are told, and a host with a port at most [RFC 9113 §8.3.1]. */
function authorityOf(raw: RawFields): string {
  const hosts = valuesOf(raw, 'host');
  const [authority, ...others] = [...valuesOf(raw, ':authority'), ...hosts];
  if (authority === undefined || hosts.length > 1 || others.some((other) => other !== authority))
    throw new MalformedError('the request must name one host');
  if (!/^([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?$/.test(authority)) throw new MalformedError('the host is none');
  return authority;
}

function valuesOf(raw: RawFields, name: string): string[] {
  return raw.filter((_, i) => i % 2 === 1 && raw[i - 1]!.toLowerCase() === name);
}
// #endregion

/**
 * The fields of a response, or those behind its body. A status without content keeps no length of it: 304 alone may tell the
 * one it would have had [RFC 9110 §8.6].
 * @throws {MalformedError}
 */
export function checkResponse(raw: RawFields, { status, version }: { status: number; version: string }): Fields {
  if (status > 599) throw new MalformedError(`${status} is no status`); // HTTP/2 in Node would throw [RFC 9110 §15]
  const fields = fieldsThatCross(raw);
  if (status === 204 || status < 200) delete fields['content-length'];
  return { ...fields, via: viaOf(fields, version) };
}

/** Each hop adds itself, behind those before it, with the version in which the message reached it [RFC 9110 §7.6.3]. */
function viaOf({ via = [] }: Fields, version: string): string {
  return [via, `${version} patterns`].flat().join(', ');
}
