/**
 * Signatures by the Standard Webhooks specification: HMAC-SHA256 over `id.timestamp.body`, with a secret that both sides keep.
 *
 * The body is signed as bytes, and verified as the bytes that came, before anybody parses them: the same JSON written anew is
 * another body. The timestamp is signed too, so whoever has recorded a request cannot send it again later. Several secrets
 * may be valid at once, on either side: that is how they are exchanged without a failed verification in between.
 */
import { createHmac, createSecretKey, type KeyObject, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER } from './protocol.ts';

/** A secret that is ready for use: made once, since giving node:crypto bare bytes costs several times as much as the HMAC. */
export type Secret = KeyObject;

/** 5 min either way, as the specification recommends: clocks differ, and the future is as suspicious as the past. */
const TOLERANCE_SECONDS = 5 * 60;

const PREFIX = 'whsec_';

/** A new secret, as it is shown to people. 32 bytes: as long as what the hash puts out; the specification asks for 24 to 64. */
export function newSecret(): string {
  return PREFIX + randomBytes(32).toString('base64');
}

/** Reads `whsec_<base64>`. @throws {RangeError} when it is none, or too short to keep a secret. The message does not tell it. */
export function readSecret(text: string): Secret {
  const encoded = text.startsWith(PREFIX) ? text.slice(PREFIX.length) : '';
  const bytes = Buffer.from(encoded, 'base64');
  // Node decodes leniently, and leaves out what it does not know: half a secret would do.
  if (bytes.toString('base64') !== encoded || bytes.length < 24 || bytes.length > 64) {
    throw new RangeError(`a secret is ${PREFIX} and the Base64 of 24 to 64 bytes`);
  }
  return createSecretKey(bytes);
}

// #region sign
/**
 * The value of `webhook-signature`: one signature a secret, the newest first.
 * @throws {RangeError} for an id with a dot: with it, two different messages could be the same bytes.
 */
export function sign(secrets: readonly Secret[], id: string, timestampSeconds: number, body: Buffer): string {
  if (id.includes('.')) throw new RangeError('an id must not contain a dot');
  let signatures = '';
  for (const secret of secrets) {
    if (signatures !== '') signatures += ' ';
    signatures += `v1,${hmac(secret, `${id}.${timestampSeconds}.`, body)}`;
  }
  return signatures;
}

function hmac(secret: Secret, head: string, body: Buffer): string {
  return createHmac('sha256', secret).update(head).update(body).digest('base64');
}
// #endregion

/** Anything but `verified` is for the log. The sender is told nothing: it would help whoever tries. */
export type Verdict =
  | 'verified'
  | 'header-missing'
  | 'id-malformed'
  | 'timestamp-malformed'
  | 'timestamp-too-old'
  | 'timestamp-too-new'
  | 'no-match';

export interface VerifyOptions {
  /** Default: now. */
  nowSeconds?: number;
  toleranceSeconds?: number;
}

// #region verify
/**
 * Whether one of the signatures in `headers` is of one of `secrets`. Signatures of versions that are not known are passed over:
 * a provider may send those of the next version beside these.
 *
 * @param body the bytes as they came. A parsed and rewritten body is another one.
 */
export function verify(
  secrets: readonly Secret[],
  headers: Pick<IncomingHttpHeaders, string>,
  body: Buffer,
  { nowSeconds = Math.floor(Date.now() / 1_000), toleranceSeconds = TOLERANCE_SECONDS }: VerifyOptions = {},
): Verdict {
  const { [ID_HEADER]: id, [TIMESTAMP_HEADER]: timestamp, [SIGNATURE_HEADER]: signatures } = headers;
  if (typeof id !== 'string' || typeof timestamp !== 'string' || typeof signatures !== 'string')
    return 'header-missing';
  if (id.includes('.')) return 'id-malformed';
  if (!/^\d{1,12}$/.test(timestamp)) return 'timestamp-malformed';
  if (nowSeconds - Number(timestamp) > toleranceSeconds) return 'timestamp-too-old';
  if (Number(timestamp) - nowSeconds > toleranceSeconds) return 'timestamp-too-new';
  const candidates = signatures.split(' ');
  for (const secret of secrets) {
    // With its version: what is of another one is another signature, and is passed over.
    const expected = `v1,${hmac(secret, `${id}.${timestamp}.`, body)}`;
    for (const candidate of candidates) if (isSame(candidate, expected)) return 'verified';
  }
  return 'no-match';
}

/** In constant time: how long it takes does not tell how many characters were right. */
function isSame(candidate: string, expected: string): boolean {
  const [one, other] = [Buffer.from(candidate), Buffer.from(expected)];
  // timingSafeEqual throws when the lengths differ. The length of the right one is no secret.
  return one.length === other.length && timingSafeEqual(one, other);
}
// #endregion

/** The value of `X-Signature`: HMAC-SHA256 of the body in hexadecimal. It proves who sent it, but not when, nor which. */
export function signBody(secret: Secret, body: Buffer): string {
  return createHmac('sha256', secret).update(body).digest('hex');
}

/** Whether `signature` is `signBody` of one of the secrets. A request that was recorded passes for ever. */
export function verifyBody(secrets: readonly Secret[], signature: unknown, body: Buffer): boolean {
  return typeof signature === 'string' && secrets.some((secret) => isSame(signature, signBody(secret, body)));
}
