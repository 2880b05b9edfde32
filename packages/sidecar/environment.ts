/**
 * The options of a sidecar that is started as a process: `--engine undici`, and the rest by environment variables.
 */
import { parseArgs } from 'node:util';
import { ConfigError, envInteger, envPort, envUrl } from '@patterns/kit/env';
import type { SidecarOptions } from './configuration.ts';
import { type TokenCheck, tokenKey } from './token-check.ts';

const POWERS = ['log', 'limit', 'tokens', 'cache'] as const;

/** @throws {ConfigError} when one makes no sense. */
export function optionsFromEnv(args = process.argv.slice(2)): Partial<SidecarOptions> {
  const on = readPowers(process.env.POWERS);
  const { env } = process;
  return {
    engine: readEngine(args),
    port: envPort(),
    adminPort: envPort('ADMIN_PORT'),
    ...(env.UPSTREAM ? { upstream: env.UPSTREAM } : {}),
    ...(env.REDIS_URL ? { redisUrl: envUrl('REDIS_URL', { protocols: ['redis:', 'rediss:'], hint: '' }) } : {}),
    ...(on.has('log') ? {} : { accessLog: false }),
    ...(on.has('cache') ? {} : { cache: false }),
    limit: on.has('limit') && {
      max: envInteger('LIMIT_MAX', 300, { min: 1 }),
      windowMs: envInteger('LIMIT_WINDOW_MS', 60_000, { min: 1 }),
      whenRedisIsAway: readPolicy(env.WHEN_REDIS_IS_AWAY),
      ...(env.REDIS_PREFIX ? { prefix: env.REDIS_PREFIX } : {}),
    },
    tokens: on.has('tokens') && readTokens(),
    timeouts: { headersMs: envInteger('HEADERS_TIMEOUT_MS', 10_000, { min: 1 }) },
    breaker: {
      maxFailures: envInteger('BREAKER_FAILURES', 5, { min: 1 }),
      openMs: envInteger('BREAKER_OPEN_MS', 5_000, { min: 1 }),
    },
    trustedHops: envInteger('TRUSTED_HOPS', 0),
  };
}

/** `POWERS=log,limit`. Without it, all that need no key. */
function readPowers(text = 'log,limit,cache'): ReadonlySet<string> {
  const names = text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '');
  const unknown = names.find((name) => !POWERS.includes(name as (typeof POWERS)[number]));
  if (unknown) throw new ConfigError(`POWERS: there is no ${unknown}; there are ${POWERS.join(', ')}`);
  return new Set(names);
}

function readEngine(args: string[]): 'express' | 'undici' {
  const { values } = parseArgs({ args, options: { engine: { type: 'string', default: 'express' } }, strict: false });
  if (values.engine === 'express' || values.engine === 'undici') return values.engine;
  throw new ConfigError(`there is no engine ${values.engine}: express or undici`);
}

function readPolicy(text = 'local'): 'local' | 'open' {
  if (text === 'local' || text === 'open') return text;
  throw new ConfigError(`WHEN_REDIS_IS_AWAY=${text}: expected local or open`);
}

/** TOKEN_KEY is the PEM of a public key for ES256, a secret for HS256. */
function readTokens(): TokenCheck {
  const { TOKEN_ALGORITHM: algorithm, TOKEN_KEY: key, TOKEN_ISSUER: issuer, TOKEN_AUDIENCE: audience } = process.env;
  if ((algorithm !== 'ES256' && algorithm !== 'HS256') || !key || !issuer || !audience)
    throw new ConfigError(
      'POWERS=tokens needs TOKEN_ALGORITHM (ES256 or HS256), TOKEN_KEY, TOKEN_ISSUER and TOKEN_AUDIENCE',
    );
  const publicPaths = (process.env.PUBLIC_PATHS ?? '').split(',');
  return { algorithm, key: tokenKey(algorithm, key), issuer, audience, publicPaths };
}
