/**
 * Headers that concern one connection are not passed on to the next: Connection, everything that it names, and the ones that
 * the specification lists for those who forget to name them [RFC 9110 §7.6.1]. The same in both directions.
 */

const HOP_BY_HOP = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authentication-info',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer', // trailers themselves are dropped, as they may be [RFC 9110 §6.5.1]
  'transfer-encoding',
  'upgrade',
]);

// #region strip
/**
 * Copies raw headers (name, value, name, value; order and repetitions kept) without the hop-by-hop ones.
 * @param drop more names to leave out; asked in lower case
 */
export function endToEnd(rawHeaders: readonly string[], drop: (name: string) => boolean = () => false): string[] {
  const kept: string[] = [];
  const named = namedByConnection(rawHeaders);
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!;
    const lower = name.toLowerCase();
    if (HOP_BY_HOP.has(lower) || drop(lower) || named.includes(lower)) continue;
    kept.push(name, rawHeaders[i + 1]!);
  }
  return kept;
}

/** `Connection: close, X-Debug` makes X-Debug hop-by-hop. What it names is stripped before the sidecar adds anything. */
function namedByConnection(rawHeaders: readonly string[]): string[] {
  const names: string[] = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    if (rawHeaders[i]!.toLowerCase() !== 'connection') continue;
    for (const option of rawHeaders[i + 1]!.toLowerCase().split(',')) {
      const name = option.trim();
      // A peer cannot have the length of its own message dropped.
      if (name !== 'close' && name !== 'keep-alive' && name !== 'content-length') names.push(name);
    }
  }
  return names;
}
// #endregion
