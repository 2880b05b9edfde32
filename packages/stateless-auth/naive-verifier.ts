/**
 * How a token is verified by hand, as it is found in many a code base, and was in libraries [CVE-2015-9235]: the header says how,
 * and is believed. But the header is the sender's, like all of the token, until it has been verified:
 *  - `alg: none` asks not to be verified at all;
 *  - `alg: HS256` takes the key for a secret, and the key is the public one, which everybody has: who has it can sign;
 *  - `exp` and `aud` are in the payload, and nobody looks.
 */
import { createHmac, verify } from 'node:crypto';

const parse = (part = '') => JSON.parse(Buffer.from(part, 'base64url').toString()) as Record<string, unknown>;

// #region by-hand
/** The payload, if the signature is right, in whatever way the token wants that to be found out. */
export function verifyByHand(token: string, publicKeyPem: string): Record<string, unknown> {
  const [header, payload, signature = ''] = token.split('.');
  const signed = `${header}.${payload}`;
  const isRight = (): boolean => {
    switch (parse(header).alg) {
      case 'none':
        return true;
      case 'HS256':
        return createHmac('sha256', publicKeyPem).update(signed).digest('base64url') === signature;
      case 'RS256':
        return verify('RSA-SHA256', Buffer.from(signed), publicKeyPem, Buffer.from(signature, 'base64url'));
      default:
        return false;
    }
  };
  if (!isRight()) throw new Error('invalid signature');
  return parse(payload);
}
// #endregion
