/**
 * A family in the database: one row for each login, which is locked by whoever exchanges one of its tokens.
 */
import type { PoolClient } from 'pg';
import { revokeAccessTokens } from './access-tokens.ts';

export interface Family {
  user_id: string;
  scope: string;
  current_hash: Buffer;
  previous_hash: Buffer | null;
  successor_salt: Buffer | null;
  is_revoked: boolean;
  is_expired: boolean;
  is_in_grace: boolean;
}

/** Whoever else shows a token of this family waits here until we have committed, and then sees what has become of it. */
export async function lockFamily(
  client: PoolClient,
  id: Buffer,
  { idleMs, graceMs }: { idleMs: number; graceMs: number },
): Promise<Family | undefined> {
  const { rows } = await client.query<Family>(
    `select user_id, scope, current_hash, previous_hash, successor_salt, revoked_because is not null as is_revoked,
            expires_at <= now() or used_at + $2 * interval '1 millisecond' <= now() as is_expired,
            used_at + $3 * interval '1 millisecond' > now() as is_in_grace
       from issuer.families where id = $1 for update`,
    [toUuid(id), idleMs, graceMs],
  );
  return rows[0];
}

/** Ends the login: none of its refresh tokens is good any more, and its access tokens are on the deny-list. */
export async function revokeFamily(client: PoolClient, id: Buffer, why: 'reused' | 'logged out'): Promise<void> {
  await client.query('update issuer.families set revoked_because = $2 where id = $1 and revoked_because is null', [
    toUuid(id),
    why,
  ]);
  await revokeAccessTokens(client, toUuid(id));
}

/** PostgreSQL reads a uuid without dashes as well. */
export const toUuid = (id: Buffer): string => id.toString('hex');
