/** What the demo's attacker does with a token, or makes of nothing: a dozen lines, and no library. */
import { createHmac } from 'node:crypto';

export interface Parts {
  readonly header: Readonly<Record<string, unknown>>;
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Anybody can: a token is encoded, and not encrypted. */
export function readParts(token: string): Parts {
  const [header, payload] = token.split('.').map((part) => Buffer.from(part, 'base64url').toString());
  return { header: JSON.parse(header!), payload: JSON.parse(payload!) };
}

/** What it says of a person. */
export function personal(payload: Parts['payload']): string {
  return ['name', 'email', 'preferences'].filter((name) => name in payload).join(', ') || 'nothing';
}

/** A token that says whatever is wanted. `sign` gets the first two parts, and makes the third. */
export function forge({ header, payload }: Parts, sign: (signed: string) => string): string {
  const signed = [header, payload].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  return `${signed}.${sign(signed)}`;
}

export const unsigned = () => '';
export const hmacWith = (secret: string) => (signed: string) =>
  createHmac('sha256', secret).update(signed).digest('base64url');
/** The signature of another token, as it was. */
export const signedLike = (token: string) => () => token.slice(token.lastIndexOf('.') + 1);

/** Words as people choose them; cracking programs try hundreds of millions. */
export const DICTIONARY = ((): string[] => {
  const stems =
    'admin api app auth change-me dev hello jwt key letmein my node password pass private secret session test token';
  const ends = 'key token secret jwt 1 12 123 1234 12345 2024 2025 2026 prod dev test !';
  const pairs = stems
    .split(' ')
    .flatMap((stem) => ends.split(' ').flatMap((end) => [stem + end, `${stem}-${end}`, `${stem}_${end}`]));
  return [...stems.split(' '), ...pairs];
})();

/** Tries the dictionary on a token that is signed with HMAC. Nobody is asked, so nobody can notice. */
export function guessSecret(token: string): { secret: string | undefined; tried: number; tookMs: number } {
  const end = token.lastIndexOf('.');
  const [signed, signature] = [token.slice(0, end), token.slice(end + 1)];
  const startedAt = performance.now();
  const found = DICTIONARY.findIndex((word) => hmacWith(word)(signed) === signature);
  return {
    secret: DICTIONARY[found],
    tried: found === -1 ? DICTIONARY.length : found + 1,
    tookMs: performance.now() - startedAt,
  };
}
