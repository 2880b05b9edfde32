/** The town of the microservices benchmark: as `node server.ts` starts it, with a gateway whose key we have. */
import { generateKeyPairSync } from 'node:crypto';
import { type FaultProxy, startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { openIdentity } from '@patterns/microservices/chassis/identity';
import { startTown } from '@patterns/microservices/server';

export interface TownGround {
  databaseUrl: string;
  redisUrl: string;
  redisPrefix: string;
  signal?: AbortSignal | undefined;
}

/** Nobody is to wait for a meal: it is the processor's time that counts. */
const PACE = { COOK_MS: '10', STEP_MS: '10', GATEWAY_MS: '1', LOG_LEVEL: 'error' };
const MEMBERS = ['provider', 'kitchen', 'payment', 'sidecar', 'notification'];

export async function startOwnTown({ signal, ...ground }: TownGround) {
  await using opened = new AsyncDisposableStack();
  const { privateKey, publicKey } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  const known = { ...PACE, SERVICE_PUBLIC_KEYS: JSON.stringify({ gateway: publicKey }) };
  let toPayment: FaultProxy | undefined;
  const town = opened.use(
    await startTown({
      ...ground,
      ...(signal && { signal }),
      async env(urlOf) {
        toPayment = opened.use(await startFaultProxy(urlOf('sidecar')));
        return {
          ...Object.fromEntries(MEMBERS.map((name) => [name, PACE])),
          'user-1': known,
          tracking: known,
          order: { ...known, PAYMENT_URL: toPayment.url },
          gateway: { ...PACE, SERVICE_KEY: privateKey },
        };
      },
    }),
  );
  const identity = openIdentity({ service: 'gateway', privateKey });
  const running = opened.move();
  return {
    town,
    toPayment: toPayment!,
    tokenOfGateway: (audience: string, subject: string) => identity.tokenFor(audience, subject),
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}
