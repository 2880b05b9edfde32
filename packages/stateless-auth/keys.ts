/**
 * The keys that the issuer signs with, and how one follows another without a single token being refused.
 *
 *     published   |---- lead ----|------------ signs ------------|---- life of a token ----|  gone
 *     successor                           published |---- lead ----|------------ signs ---->
 *
 * A new key is published before it signs, for longer than verifiers keep the set: when its first token comes, they have it. An old
 * one stays until its last token has expired. The keys are in the database, so that a restart keeps them. There they are as
 * readable as a password in a file: production keeps private keys in a KMS or an HSM, which signs and never gives them out.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import type { Pool, PoolClient } from 'pg';
import { inTransaction } from './database.ts';
import { ALGORITHM } from './protocol.ts';
import type { KeySource } from './verifier.ts';

interface SigningKey {
  readonly kid: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
  readonly signsFrom: Date;
}

export interface KeyRingOptions {
  /** How long a key is published before it signs: longer than verifiers keep the set. */
  leadMs: number;
  /** How long it stays published after it has signed: as long as a token may be accepted. */
  retireMs: number;
  /** How long a key signs. */
  rotateEveryMs: number;
}

export interface KeyRing extends KeySource {
  /** The key that signs now. */
  readonly signing: SigningKey;
  /** What is published: public halves only [RFC 7517 §5]. */
  readonly jwks: { readonly keys: readonly object[] };
  /** Publishes a new key now, which signs after the lead. */
  rotate(): Promise<void>;
  /** Reads the keys again: makes one when it is time, and drops those that have retired. Called now and then. */
  refresh(): Promise<void>;
}

const generate = promisify(generateKeyPair);

/** Opens the ring. When there is no key yet, one is made that signs at once: nobody can have an older set. */
export async function openKeyRing(pool: Pool, { leadMs, retireMs, rotateEveryMs }: KeyRingOptions): Promise<KeyRing> {
  let ring: readonly SigningKey[] = [];

  // #region ring
  async function refresh(rotateNow = false): Promise<void> {
    ring = await inTransaction(pool, async (client) => {
      // One at a time: two that find the newest key too old must not both make another.
      await client.query(`select pg_advisory_xact_lock(hashtextextended('patterns: issuer keys', 0))`);
      const keys = await readKeys(client);
      const now = Date.now();
      const newest = keys.at(-1)?.signsFrom.getTime();
      if (newest === undefined) keys.push(await addKey(client, new Date(now)));
      else if (rotateNow || newest + rotateEveryMs - leadMs <= now)
        keys.push(await addKey(client, new Date(now + leadMs)));
      // A key has retired when its successor has been signing for as long as a token lives.
      const retired = keys.filter(
        (_key, index) => keys[index + 1] && keys[index + 1]!.signsFrom.getTime() + retireMs <= now,
      );
      await client.query('delete from issuer.signing_keys where kid = any($1)', [retired.map(({ kid }) => kid)]);
      return keys.filter((key) => !retired.includes(key));
    });
  }
  // #endregion

  await refresh();
  const peek = (kid: string) => ring.find((key) => key.kid === kid)?.publicKey;
  return {
    get signing() {
      const now = Date.now();
      return ring.findLast(({ signsFrom }) => signsFrom.getTime() <= now) ?? ring[0]!;
    },
    get jwks() {
      return { keys: ring.map(toJwk) };
    },
    rotate: () => refresh(true),
    refresh: () => refresh(),
    peek,
    find: async (kid) => peek(kid),
  };
}

async function readKeys(client: PoolClient): Promise<SigningKey[]> {
  const { rows } = await client.query<{ kid: string; private_key: string; signs_from: Date }>(
    'select kid, private_key, signs_from from issuer.signing_keys order by signs_from',
  );
  return rows.map(({ kid, private_key, signs_from }) => {
    const privateKey = createPrivateKey(private_key);
    return { kid, privateKey, publicKey: createPublicKey(privateKey), signsFrom: signs_from };
  });
}

async function addKey(client: PoolClient, signsFrom: Date): Promise<SigningKey> {
  const { privateKey, publicKey } = await generate('ec', { namedCurve: 'P-256' });
  const kid = thumbprint(publicKey);
  await client.query('insert into issuer.signing_keys (kid, private_key, signs_from) values ($1, $2, $3)', [
    kid,
    privateKey.export({ type: 'pkcs8', format: 'pem' }),
    signsFrom,
  ]);
  return { kid, privateKey, publicKey, signsFrom };
}

/** A name that follows from the key: two keys never have the same. The members in this order, without a space [RFC 7638 §3]. */
function thumbprint(publicKey: KeyObject): string {
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

const toJwk = ({ kid, publicKey }: SigningKey) => ({
  ...publicKey.export({ format: 'jwk' }),
  kid,
  use: 'sig',
  alg: ALGORITHM,
});
