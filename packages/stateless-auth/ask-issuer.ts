/**
 * How a resource server asks the issuer: never for long, never much, and nobody but the issuer.
 */

export interface AskOptions {
  /** For all of it, the body included. */
  timeoutMs: number;
  /** More is not read. */
  maxBytes: number;
  signal: AbortSignal;
  /** Of the answer that we have. */
  etag?: string | undefined;
}

/**
 * Fetches JSON. Resolves with `undefined` when `etag` is still the current one.
 * @throws when it does not come in time, is too large, is no JSON, or has another status than 200.
 */
export async function askIssuer(
  url: string,
  { timeoutMs, maxBytes, signal, etag }: AskOptions,
): Promise<{ body: unknown; etag: string | undefined } | undefined> {
  const response = await fetch(url, {
    signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    redirect: 'error', // keys come from where we were told they are, and from nowhere else
    headers: {
      Accept: 'application/json',
      // To a request with If-None-Match fetch else adds `no-cache` by itself [Fetch §4.6], and Express then never answers 304.
      ...(etag ? { 'If-None-Match': etag, 'Cache-Control': 'max-age=0' } : {}),
    },
  });
  if (response.status === 304) return undefined;
  if (response.status !== 200 || !response.body) {
    await response.body?.cancel();
    throw new Error(`${url} answered ${response.status}`);
  }
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body) {
    bytes += chunk.length;
    if (bytes > maxBytes) throw new Error(`${url} answered more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return { body: JSON.parse(Buffer.concat(chunks).toString()), etag: response.headers.get('etag') ?? undefined };
}
