/**
 * What a client asks of the issuer: tokens, and that they be revoked. An answer that does not come is asked for again: it may be that
 * the issuer has done what it was asked, and only the answer was lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { AuthError, isRecord, readTokens } from './protocol.ts';

/** An access token, and the refresh token that the next pair is for. */
export interface Pair {
  readonly access: string;
  readonly refresh: string;
  /** Both on the clock of `performance.now()`, which nobody sets. */
  readonly renewAt: number;
  readonly endsAt: number;
}

/** With the waits between them less than a second: within the time in which the issuer takes a refresh token twice. */
const ATTEMPTS = 3;

/** `earlyMs`: see `SessionOptions`. `timeoutMs`: of one attempt. */
export function tokenRequests(issuerUrl: string, { earlyMs, timeoutMs }: { earlyMs: number; timeoutMs: number }) {
  /** Gets a pair. @throws {AuthError} 'refused', or 'unavailable'. */
  async function obtain(path: string, body: string | URLSearchParams): Promise<Pair> {
    const askedAt = performance.now(); // its life has begun when we hear of it
    const response = await ask(path, body);
    const answer: unknown = await response.json().catch(() => undefined);
    if (!response.ok) {
      const reason = isRecord(answer) ? String(answer.error ?? answer.detail) : '';
      // Anything else, such as a 429, says nothing about the password or the refresh token.
      const code = reason === 'invalid_grant' ? 'refused' : 'unavailable';
      throw new AuthError(code, `${response.status} from ${path}: ${reason}`);
    }
    const { access_token: access, refresh_token: refresh, expires_in } = readTokens(answer);
    const lifeMs = expires_in * 1_000;
    const endsAt = askedAt + lifeMs;
    return { access, refresh, endsAt, renewAt: endsAt - Math.min(earlyMs, lifeMs / 2) };
  }

  /** Posts JSON, or a form. @throws {AuthError} 'unavailable' when each attempt brought no answer, or a 5xx. */
  async function ask(path: string, body: string | URLSearchParams): Promise<Response> {
    const headers: RequestInit['headers'] = typeof body === 'string' ? { 'Content-Type': 'application/json' } : {};
    for (let attempt = 1; ; attempt++) {
      const signal = AbortSignal.timeout(timeoutMs);
      const sent = fetch(issuerUrl + path, { method: 'POST', headers, body, signal });
      const answer = await sent.catch((error: Error) => error);
      if (answer instanceof Response && answer.status < 500) return answer;
      if (attempt === ATTEMPTS) throw new AuthError('unavailable', `no answer from ${issuerUrl}`, { cause: answer });
      await delay(100 * attempt * (0.5 + Math.random()));
    }
  }

  return { ask, obtain };
}
