/**
 * The attacks of the first half, on the sound version: each is one request with a token that should not be taken, and its answer. And
 * one more: a token that brings the key it wants to be verified with.
 */
import { createPublicKey, generateKeyPairSync, type JsonWebKey, sign } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { DICTIONARY, forge, guessSecret, hmacWith, readParts, signedLike, unsigned } from './demo-forgery.ts';
import type { House } from './demo-stage.ts';
import { JWKS_PATH } from './protocol.ts';

/** @returns the status of each, as the closing table has it. */
export async function attack({ story, signal }: Stage, house: House, token: string) {
  const { header, payload } = readParts(token);
  const admin = { ...payload, sub: '1' };
  const statuses: Record<string, number> = {};

  story.fault('alg: none, and no signature');
  statuses['alg: none'] = await house.show(forge({ header: { ...header, alg: 'none' }, payload: admin }, unsigned));
  story.fault('alg: HS256, and the public key, as the issuer publishes it, for the secret');
  const response = await fetch(house.lines.issuer.url + JWKS_PATH, { signal });
  const { keys } = (await response.json()) as { keys: [JsonWebKey] };
  const pem = createPublicKey({ key: keys[0], format: 'jwk' }).export({ type: 'spki', format: 'pem' }) as string;
  const confused = forge({ header: { ...header, alg: 'HS256' }, payload: admin }, hmacWith(pem));
  statuses['the public key as a secret'] = await house.show(confused);
  story.fault('a key of the attacker, brought along in the header');
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const own = { header: { ...header, jwk: publicKey.export({ format: 'jwk' }) }, payload: admin };
  const signOwn = (text: string) => sign('sha256', Buffer.from(text), { key: privateKey, dsaEncoding: 'ieee-p1363' });
  statuses['its own key in the header'] = await house.show(forge(own, (text) => signOwn(text).toString('base64url')));
  story.fault('a token of the same issuer, signed with the same key, for the newsletter');
  statuses['another audience'] = await house.show(await house.tokenForNewsletter());
  story.fault('the payload is changed to user 1, the signature stays');
  statuses['payload changed'] = await house.show(forge({ header, payload: admin }, signedLike(token)));
  story.fault(`the secret is guessed: ${DICTIONARY.length} words`);
  const { secret, tookMs } = guessSecret(token);
  story.act(
    'client',
    `none of them, after ${tookMs.toFixed(1)} ms: there is no secret, only a private key. One is taken anyhow`,
  );
  const guessed = forge({ header: { ...header, alg: 'HS256' }, payload: admin }, hmacWith('secret-key'));
  statuses['signed with a guessed secret'] = secret ? 200 : await house.show(guessed);
  return statuses;
}
