/**
 * Conditional requests [RFC 9110 §13]: who has the current version already is not sent it again, and who changes something must
 * say which version they have seen.
 */
import { createHash } from 'node:crypto';
import { HttpProblem } from '@patterns/kit/problem';

// #region etags
/** Of a post: its version. What else its representation has does not change (`POST_FIELDS`, protocol.ts). */
export const etagOfVersion = (version: number) => `"v${version}"`;

/** Of everything else: what it is made of, such as a page of a list, has no version of its own. */
export const etagOfText = (text: string) => `"${createHash('sha256').update(text).digest('base64url').slice(0, 22)}"`;
// #endregion

/**
 * Whether a field `If-None-Match` names this version: `*`, or a list with a tag that matches it [§13.1.2]. The comparison is the
 * weak one [§8.8.3.2]: a proxy that compressed the body made the tag weak, `W/"..."`, and it is still ours.
 *
 * Express has this as `request.fresh`, and it would never say yes to fetch, which sends `Cache-Control: no-cache` beside an
 * If-None-Match [Fetch, HTTP-network-or-cache fetch]. That field is for the caches on the way, not for us.
 */
export function isCurrent(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  if (ifNoneMatch.trim() === '*') return true;
  // Not split at commas: a tag may have one between its quotes.
  return [...ifNoneMatch.matchAll(/(?:W\/)?("[^"]*")/g)].some(([, opaque]) => opaque === etag);
}

// #region if-match
/**
 * The versions that a field `If-Match` names. A weak tag names none: the comparison is the strong one [§13.1.1].
 * @throws {HttpProblem} 428 without the field, and for `*`, which would overwrite whatever is there; 400 when it is malformed.
 */
export function readIfMatch(ifMatch: string | undefined): number[] {
  if (ifMatch === undefined || ifMatch.trim() === '*') {
    throw new HttpProblem(428, { detail: 'say in If-Match which version you change: the ETag that GET has given you' });
  }
  const tags = [...ifMatch.matchAll(/(W\/)?("[^"]*")/g)];
  if (tags.length === 0) {
    const errors = [{ field: 'If-Match', expected: 'an ETag in its quotes, such as "v1"' }];
    throw new HttpProblem(400, { detail: 'If-Match is malformed', errors });
  }
  return tags.flatMap(([, weak, opaque = '']) => {
    const [, version] = /^"v([1-9]\d{0,8})"$/.exec(opaque) ?? [];
    return weak || version === undefined ? [] : [Number(version)];
  });
}
// #endregion
