/** What to watch on either side, in Prometheus's text format at `/metrics`. A registry per server, so that two in one process do not share. */
import { Counter, Gauge, Registry } from 'prom-client';
import type { Jwks } from './jwks.ts';
import type { DenyList } from './revocation.ts';
import type { Verifier } from './verifier.ts';

/** Of the issuer. An alert belongs on `reused`: each is a token in two hands. */
export function createIssuerMetrics() {
  const registry = new Registry();
  const registers = [registry];
  return {
    registry,
    logins: new Counter({
      name: 'issuer_logins_total',
      help: 'Logins by outcome: granted, refused',
      labelNames: ['outcome'] as const,
      registers,
    }),
    hashes: new Counter({ name: 'issuer_password_hashes_total', help: 'Password hashes made', registers }),
    exchanges: new Counter({
      name: 'issuer_exchanges_total',
      help: 'Refresh tokens shown, by outcome: rotated, repeated (within the grace), reused, revoked, expired, unknown',
      labelNames: ['outcome'] as const,
      registers,
    }),
    revocations: new Counter({ name: 'issuer_revocations_total', help: 'Tokens revoked on request', registers }),
  };
}

export interface ServerSources {
  jwks: Jwks;
  denyList: DenyList | undefined;
  verifier: Verifier;
}

/** Of a resource server. An alert belongs on the age of the keys: it grows while the issuer is away, and nothing fails yet. */
export function createServerMetrics({ jwks, denyList, verifier }: ServerSources) {
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, read: () => number) =>
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  gauge('tokens_cached', 'Verified tokens that are remembered', () => verifier.cache?.size ?? 0);
  gauge('jwks_keys', 'Keys of the issuer that are known', () => jwks.size);
  gauge('jwks_age_seconds', 'Since the keys were last fetched', () => jwks.ageMs / 1_000);
  if (denyList) {
    gauge('deny_list_tokens', 'Tokens on the deny-list', () => denyList.size);
    gauge('deny_list_age_seconds', 'Since the deny-list was last fetched', () => denyList.ageMs / 1_000);
  }
  return {
    registry,
    checks: new Counter({
      name: 'tokens_checked_total',
      help: 'Tokens by what became of them: accepted, or the reason why not',
      labelNames: ['outcome'] as const,
      registers,
    }),
  };
}
