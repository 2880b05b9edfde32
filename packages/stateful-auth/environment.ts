/**
 * What a server is told by its environment: the secrets, whether it speaks TLS, and how many proxies stand in front of it.
 */
import { randomBytes } from 'node:crypto';
import type { Certificate } from '@patterns/kit/certificate';
import { ConfigError } from '@patterns/kit/env';

/** 32 characters: as long as what the signature (HMAC-SHA-256) makes of them, when they are random. */
const SECRET_LENGTH = 32;

// #region secrets
/**
 * The secrets of SESSION_SECRETS, separated by commas: the first one signs, each of them verifies. To change one without logging
 * anybody out: `old,new` at every server, then `new,old` at every server, and `new` when the last cookie with the old one is over.
 * @throws {ConfigError} when there is none, or a short one.
 */
export function readSecrets(text: string | undefined): string[] {
  const secrets = (text ?? '').split(',').filter((secret) => secret !== '');
  const example = "node -p \"require('crypto').randomBytes(32).toString('base64url')\"";
  if (secrets.length === 0) throw new ConfigError(`SESSION_SECRETS is not set: make one with ${example}`);
  if (secrets.every((secret) => secret.length >= SECRET_LENGTH)) return secrets;
  throw new ConfigError(
    `SESSION_SECRETS has a secret of less than ${SECRET_LENGTH} characters: make one with ${example}`,
  );
}
// #endregion

/** By hand there need not be any: then one is made up, which no other process knows, nor this one after a restart. */
export function secretsOrMadeUp(say: (line: string) => void): string[] {
  if (process.env.SESSION_SECRETS !== undefined || process.env.NODE_ENV === 'production') {
    return readSecrets(process.env.SESSION_SECRETS);
  }
  say('SESSION_SECRETS is not set: a random one, so a restart logs everybody out, and a second server knows nobody');
  return [randomBytes(32).toString('base64url')];
}

/** With TLS=1 a certificate, and the file in which clients find it. The file goes when the stack does. */
export async function certificateFromEnv(
  stack: AsyncDisposableStack,
): Promise<{ certificate: Certificate; file: string } | undefined> {
  if (!/^(1|true|yes)$/.test(process.env.TLS ?? '')) return undefined;
  // Only now: to load it takes as long as everything else here.
  const { makeCertificate, publishCertificate } = await import('@patterns/kit/certificate');
  const certificate = await makeCertificate();
  const { path } = stack.use(await publishCertificate(certificate));
  return { certificate, file: path };
}
