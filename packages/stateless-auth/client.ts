/**
 * A client that is signed in. It keeps two tokens, in memory only: one that it shows with each request, for minutes, and one that
 * only the issuer ever sees, for which it gets the next pair. Whoever calls `fetch` notices nothing of the exchange.
 *
 * What surprises: one exchange serves all the requests that wait for it, since a refresh token is good for one use; and it is asked
 * for again when there was no answer, since the issuer may have done it: for some seconds it takes the same token once more.
 * A session ends by `logout`, or when the issuer refuses the refresh token; then `fetch` rejects with 'signed-out'.
 */
import { main } from '@patterns/kit/main';
import { AuthError, LOGIN_PATH, PREFERENCES_PATH, PROFILE_PATH, REVOKE_PATH, TOKEN_PATH } from './protocol.ts';
import { type Pair, tokenRequests } from './token-requests.ts';

export interface SessionOptions {
  name: string;
  password: string;
  /** Where the access token may be sent: their origins, and no other. Whoever gets a bearer token can use it. */
  servers: readonly string[];
  /** How long before its end a token is exchanged; at most half of its life. 30 s: longer than a request is under way. */
  earlyMs?: number;
  /** How long the issuer may take to answer: requests wait for it, up to three times. */
  issuerTimeoutMs?: number;
}

export interface Session {
  /**
   * As the global one, with the access token. A redirect is answered as it is, and not followed.
   * @throws {AuthError} 'signed-out'; 'unavailable' when the token has expired and the issuer is away.
   * @throws {TypeError} when the token is not for that server.
   */
  fetch(url: string | URL, init?: RequestInit): Promise<Response>;
  /** Has the tokens revoked. They are forgotten first, so that it ends the session here even if the issuer is away. */
  logout(): Promise<void>;
}

/** Signs in. @throws {AuthError} 'refused' or 'unavailable'. */
export async function openSession(issuerUrl: string, options: SessionOptions): Promise<Session> {
  const { name, password, servers, earlyMs = 30_000, issuerTimeoutMs = 2_000 } = options;
  const origins = new Set(servers.map((url) => new URL(url).origin));
  const { ask, obtain } = tokenRequests(issuerUrl, { earlyMs, timeoutMs: issuerTimeoutMs });
  let pair: Pair | undefined = await obtain(LOGIN_PATH, JSON.stringify({ name, password }));
  let renewing: Promise<Pair> | undefined;

  // #region renew
  /** A pair that is still good. While the old one is, nobody waits for the next. */
  async function current(): Promise<Pair> {
    if (!pair) throw signedOut();
    const now = performance.now();
    if (now >= pair.endsAt) return await renew(pair);
    if (now >= pair.renewAt) renew(pair).catch(() => {}); // whoever comes next finds out, or tries again
    return pair;
  }

  /** The pair after `spent`: whoever comes while it is being fetched waits for it, and whoever comes later finds it. */
  async function renew(spent: Pair): Promise<Pair> {
    if (!pair) throw signedOut();
    if (pair !== spent) return pair;
    renewing ??= exchange(spent).finally(() => {
      renewing = undefined;
    });
    return await renewing;
  }

  async function exchange(spent: Pair): Promise<Pair> {
    const form = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: spent.refresh });
    const next = await obtain(TOKEN_PATH, form).catch((error: unknown) => {
      if (!(error instanceof AuthError && error.code === 'refused')) throw error;
      pair = undefined; // it has expired, or was revoked
      throw signedOut(error);
    });
    if (pair !== spent) throw signedOut(); // by a logout, meanwhile
    pair = next;
    return pair;
  }
  // #endregion

  // #region fetch
  return {
    async fetch(url, init = {}) {
      const { origin } = new URL(url);
      if (!origins.has(origin)) throw new TypeError(`the token is not for ${origin}`);
      const send = ({ access }: Pair) => {
        const headers = new Headers(init.headers);
        headers.set('Authorization', `Bearer ${access}`);
        // Followed, a redirect would take what was sent to wherever the server points.
        return fetch(url, { ...init, headers, redirect: 'manual' });
      };
      const sent = await current();
      const response = await send(sent);
      if (!isInvalidToken(response)) return response;
      // It was refused before anything was done [RFC 6750 §3.1]: a second time is safe, whatever the method. But only once.
      const next = renew(sent);
      if (!isReplayable(init.body)) {
        next.catch(() => {});
        return response;
      }
      await Promise.all([next, response.body?.cancel()]);
      return await send(await next);
    },

    async logout() {
      const ended = pair;
      pair = undefined;
      // The family ends with any of its tokens, and with it the access tokens, as far as servers ask.
      if (ended) await ask(REVOKE_PATH, new URLSearchParams({ token: ended.refresh }));
    },
  };
  // #endregion
}

const signedOut = (cause?: unknown) => new AuthError('signed-out', 'signed out: sign in again', { cause });

function isInvalidToken({ status, headers }: Response): boolean {
  return status === 401 && /\berror="invalid_token"/.test(headers.get('WWW-Authenticate') ?? '');
}

/** A stream has been read by now. */
function isReplayable(body: RequestInit['body']): boolean {
  return !(
    typeof body === 'object' &&
    body !== null &&
    (body instanceof ReadableStream || Symbol.asyncIterator in body)
  );
}

if (import.meta.main) {
  await main(async (_stack) => {
    const [, , issuerUrl, serverUrl, name = 'john', password = 'correct horse battery staple'] = process.argv;
    if (!issuerUrl || !serverUrl)
      return console.log('usage: node client.ts <url of the issuer> <url of a server> [name password]');
    const session = await openSession(issuerUrl, { name, password, servers: [serverUrl] });
    const show = async (path: string, init: RequestInit = {}) => {
      const response = await session.fetch(serverUrl + path, init);
      console.log(`${init.method ?? 'GET'} ${path}  ${response.status}  ${await response.text()}`);
    };
    await show(PROFILE_PATH);
    const headers = { 'Content-Type': 'application/json' };
    await show(PREFERENCES_PATH, { method: 'PUT', headers, body: JSON.stringify(['light mode']) });
    await show(PROFILE_PATH);
    await session.logout();
    console.log('signed out');
  });
}
