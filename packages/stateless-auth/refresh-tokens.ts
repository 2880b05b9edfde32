/**
 * Refresh tokens: what keeps a person logged in for a month, although an access token lives for minutes. They never leave the pair
 * of client and issuer, and each works once: it is exchanged for the next. So a stolen one is found out: sooner or later thief
 * and owner both use the same one, and then the whole login, the family, is over for both [RFC 9700 §4.14.2].
 *
 * Two honest requests may use the same one at once (two tabs, an answer that was lost). For `graceMs`, and until its successor is used,
 * the token just exchanged is answered with the same successor again, not with a second one: with two, thief and owner could go
 * separate ways unnoticed.
 */
import { randomBytes } from 'node:crypto';
import type { Pool, PoolClient } from 'pg';
import { noteAccessToken } from './access-tokens.ts';
import { inTransaction } from './database.ts';
import { type Family, lockFamily, revokeFamily, toUuid } from './refresh-families.ts';
import { digest, formatToken, isDigestOf, parseToken, successor } from './refresh-secret.ts';

export interface RefreshTokenOptions {
  /** 10 s: two tabs that wake up together, or one retry. As long, a stolen token works beside its owner's, unnoticed until later. */
  graceMs?: number;
  /** Not used for that long, it is over: a week. */
  idleMs?: number;
  /** Over in any case after that, however often it was exchanged: 30 days. */
  lifetimeMs?: number;
}

export interface Grant {
  readonly refreshToken: string;
  readonly userId: string;
  readonly scope: string;
  /** The id of the access token to be signed. */
  readonly jti: string;
}

/** `repeated`: within the grace. `reused`: after it, and the family has been revoked. */
export type Exchange =
  | { readonly outcome: 'rotated' | 'repeated'; readonly grant: Grant }
  | { readonly outcome: 'unknown' | 'revoked' | 'expired' | 'reused'; readonly userId?: string };

const DAY_MS = 24 * 3_600_000;

export class RefreshTokens {
  readonly #pool: Pool;
  readonly #accessTokenSeconds: number;
  readonly #times: Required<RefreshTokenOptions>;

  constructor(
    pool: Pool,
    accessTokenSeconds: number,
    { graceMs = 10_000, idleMs = 7 * DAY_MS, lifetimeMs = 30 * DAY_MS }: RefreshTokenOptions = {},
  ) {
    this.#pool = pool;
    this.#accessTokenSeconds = accessTokenSeconds;
    this.#times = { graceMs, idleMs, lifetimeMs };
  }

  /** Begins a family: somebody has logged in. */
  begin(userId: string, scope: string): Promise<Grant> {
    const id = randomBytes(16);
    const secret = randomBytes(32);
    return inTransaction(this.#pool, async (client) => {
      await client.query(
        `insert into issuer.families (id, user_id, scope, current_hash, expires_at)
         values ($1, $2, $3, $4, now() + $5 * interval '1 millisecond')`,
        [toUuid(id), userId, scope, digest(secret), this.#times.lifetimeMs],
      );
      return this.#grant(client, id, secret, { user_id: userId, scope });
    });
  }

  // #region exchange
  /** Exchanges a token for the next. A token that makes no sense resolves as well: its outcome says what it was. */
  async exchange(token: string): Promise<Exchange> {
    const { id, secret } = parseToken(token) ?? {};
    if (!id || !secret) return { outcome: 'unknown' };
    return inTransaction(this.#pool, async (client): Promise<Exchange> => {
      const family = await lockFamily(client, id, this.#times);
      if (!family) return { outcome: 'unknown' };
      const userId = family.user_id;
      if (family.is_revoked) return { outcome: 'revoked', userId };
      if (family.is_expired) return { outcome: 'expired', userId };
      if (isDigestOf(secret, family.current_hash)) {
        const salt = randomBytes(32);
        const next = successor(secret, salt);
        await client.query(
          `update issuer.families set current_hash = $2, previous_hash = current_hash, successor_salt = $3, used_at = now()
            where id = $1`,
          [toUuid(id), digest(next), salt],
        );
        return { outcome: 'rotated', grant: await this.#grant(client, id, next, family) };
      }
      if (family.is_in_grace && family.successor_salt && isDigestOf(secret, family.previous_hash)) {
        const next = successor(secret, family.successor_salt);
        return { outcome: 'repeated', grant: await this.#grant(client, id, next, family) };
      }
      // Not thrown: that would roll back the revocation.
      await revokeFamily(client, id, 'reused');
      return { outcome: 'reused', userId };
    });
  }
  // #endregion

  /** Logs out: whichever of its tokens is shown, the family is over. Who knows its 128 bits has held one. */
  async revoke(token: string): Promise<void> {
    const { id } = parseToken(token) ?? {};
    if (id) await inTransaction(this.#pool, (client) => revokeFamily(client, id, 'logged out'));
  }

  /** Forgets what has expired. */
  async sweep(): Promise<void> {
    await inTransaction(this.#pool, async (client) => {
      await client.query('delete from issuer.access_tokens where expires_at <= now()');
      await client.query(
        `delete from issuer.families f where expires_at <= now()
           and not exists (select from issuer.access_tokens where family = f.id)`, // those may be on the deny-list
      );
    });
  }

  async #grant(
    client: PoolClient,
    id: Buffer,
    secret: Buffer,
    { user_id: userId, scope }: Pick<Family, 'user_id' | 'scope'>,
  ): Promise<Grant> {
    const jti = await noteAccessToken(client, toUuid(id), this.#accessTokenSeconds);
    return { refreshToken: formatToken(id, secret), userId, scope, jti };
  }
}
