/**
 * Who is in the town, where each one listens, and what each is told: as an orchestrator's manifests would have it. Nobody is told more
 * than he needs: a private key its owner alone, a database its owner alone.
 */
import { generateKeyPairSync } from 'node:crypto';
import { join } from 'node:path';
import { freePort } from '@patterns/services/free-port';

/** A process of the town. */
export interface Member {
  readonly name: string;
  readonly file: URL;
  /** Where others ask it, if they do. */
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ground {
  /** Of each database, by the service that it belongs to. */
  databases: Readonly<Record<string, string>>;
  redisUrl: string;
  redisPrefix: string;
  /** A directory that nobody else may enter, for the socket. */
  directory: string;
  /** Of the gateway; without it, or 0: a free one. */
  port?: number;
  userInstances: number;
}

/** Each of them has a database that nobody else can see. The gateway and the sidecar keep nothing. */
export const DATABASES = ['user', 'order', 'kitchen', 'payment', 'notification', 'tracking', 'provider'] as const;
export type DatabaseOwner = (typeof DATABASES)[number];

/** Who asks others, and so has a key to sign with. */
const CALLERS = ['gateway', 'order'] as const;

/** Chooses addresses, which stay: who is killed comes back where he was. */
export async function planTown(ground: Ground): Promise<Member[]> {
  const { databases, redisUrl, redisPrefix, directory, port, userInstances } = ground;
  const users = Array.from({ length: userInstances }, (_, i) => `user-${i + 1}`);
  const names = ['provider', ...users, 'kitchen', 'payment', 'sidecar', 'notification', 'tracking', 'order', 'gateway'];
  const ports = new Map(await Promise.all(names.map(async (name) => [name, await freePort()] as const)));
  if (port) ports.set('gateway', port);
  const url = (name: string) => `http://127.0.0.1:${ports.get(name)}`;
  const keys = makeKeys();
  const publicKeys = JSON.stringify(Object.fromEntries(CALLERS.map((name) => [name, keys[name].publicKey])));
  const socket = join(directory, 'payment.sock');
  const redis = { REDIS_URL: redisUrl, REDIS_PREFIX: redisPrefix };

  const member = (name: string, env: Record<string, string>, file = `${name}/server.ts`): Member => {
    const database = databases[name.replace(/-\d+$/, '')];
    return {
      name,
      file: new URL(file, import.meta.url),
      url: url(name),
      env: {
        PORT: String(ports.get(name)),
        SERVICE_PUBLIC_KEYS: publicKeys,
        DATABASE_URL: database ? named(database, name) : '',
        ...env,
      },
    };
  };
  // #region plan
  return [
    // Another company: it knows none of us. Its webhooks are repeated a hundred times sooner than the real schedule would.
    member('provider', { WEBHOOK_ALLOW: '127.0.0.1', WEBHOOK_TIME_FACTOR: '0.01' }, '../webhooks/provider.ts'),
    ...users.map((name) => member(name, {}, 'user/server.ts')),
    member('kitchen', redis),
    member('payment', { ...redis, SOCKET_PATH: socket, PROVIDER_URL: url('provider'), PUBLIC_URL: url('sidecar') }),
    member('sidecar', { SOCKET_PATH: socket, UPSTREAM: `unix:${socket}` }, 'payment/sidecar.ts'),
    member('notification', redis),
    member('tracking', redis),
    member('order', { ...redis, SERVICE_KEY: keys.order.privateKey, PAYMENT_URL: url('sidecar') }),
    member('gateway', {
      SERVICE_KEY: keys.gateway.privateKey,
      USER_URLS: users.map(url).join(','),
      ORDER_URL: url('order'),
      TRACKING_URL: url('tracking'),
    }),
  ];
  // #endregion
}

/** Who it is, in pg_stat_activity. */
function named(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl);
  url.searchParams.set('application_name', name);
  return url.href;
}

function makeKeys() {
  const pair = () =>
    generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    });
  return { gateway: pair(), order: pair() } satisfies Record<(typeof CALLERS)[number], object>;
}
