import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { mkdtempDisposable, stat } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { listen } from '@patterns/kit/listen';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Identity, openIdentity } from '../chassis/identity.ts';
import { type EndedSpan, recordSpans } from '../chassis/spans.ts';
import { startPaymentSidecar } from '../payment/sidecar.ts';
import { newOrder, openPayment, type PaymentRig, quiet } from './payment-rig.ts';

const KEYS = {
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
};
const newKeys = () =>
  generateKeyPairSync('ec', { namedCurve: 'P-256', ...KEYS } as unknown as { namedCurve: 'P-256' }) as unknown as {
    publicKey: string;
    privateKey: string;
  };

const [orders, others] = [newKeys(), newKeys()];
const bearer = (identity: Identity, audience = 'payment') => ({
  Authorization: `Bearer ${identity.tokenFor(audience)}`,
});
const order = openIdentity({ service: 'order', privateKey: orders.privateKey });
const startSidecar = (socketPath: string) =>
  startPaymentSidecar({ socketPath, orderPublicKey: orders.publicKey, log: quiet, accessLog: false });

requirePostgres()('the sidecar of payment', () => {
  describe('in front of payment', () => {
    let payment: PaymentRig;
    beforeAll(async () => {
      payment = await openPayment({ isTold: true, front: startSidecar });
    });
    afterAll(() => payment[Symbol.asyncDispose]());

    test('lets the order service through, and nobody else', async () => {
      const id = newOrder();
      const strangers = {
        'without a token': {},
        'another service': bearer(openIdentity({ service: 'kitchen', privateKey: others.privateKey })),
        'another service in its name': bearer(openIdentity({ service: 'order', privateKey: others.privateKey })),
        'a token for somebody else': bearer(order, 'kitchen'),
      };
      for (const [who, headers] of Object.entries(strangers)) {
        expect((await payment.charge(id, 1_000, headers)).status, who).toBe(401);
        expect((await payment.post(`/charges/${id}`, undefined, headers)).status, who).toBe(401);
      }
      expect(await payment.query('select from payment.charges where order_id = $1', [id])).toEqual([]);
      expect(await payment.charge(id, 1_000, bearer(order))).toMatchObject({ charge: { status: 'succeeded' } });
    });

    test('is the only way in: payment listens on a socket file, which only its own user can open', async () => {
      expect(payment.behind).toMatch(/^unix:/);
      const { mode } = await stat(payment.behind.slice('unix:'.length));
      expect((mode & 0o777).toString(8)).toBe('600');
    });

    test('lets webhooks through as they are: they are signed, and payment looks for itself', async () => {
      const id = newOrder();
      payment.line.stall('down');
      const answer = payment.charge(id, 1_000, bearer(order));
      await payment.stands(id, 'succeeded', bearer(order));
      payment.line.flow();
      expect((await answer).status).toBe(200);
      const forged = await fetch(`${payment.url}/webhooks`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: '{}',
      });
      expect([forged.status, forged.headers.get('www-authenticate')]).toEqual([401, 'Webhook-Signature']);
    });

    test('is a span of its own in the trace, on the way in and for the webhook that comes of it', async () => {
      const ended: EndedSpan[] = [];
      recordSpans((span) => void ended.push(span));
      try {
        const [traceId, callers] = [randomUUID().replaceAll('-', ''), 'b7ad6b7169203331'];
        await payment.charge(newOrder(), 1_000, { ...bearer(order), traceparent: `00-${traceId}-${callers}-01` });
        /** The names of the spans below one, down to the last: the webhook is the provider's answer to us, and belongs here. */
        const chainFrom = (parentId: string): string[] => {
          const span = ended.find(({ trace }) => trace.traceId === traceId && trace.parentId === parentId);
          return span ? [span.name, ...chainFrom(span.trace.spanId)] : [];
        };
        const [asked, told] = [
          ['POST sidecar', 'POST /charges', 'POST provider'],
          ['POST sidecar', 'POST /webhooks'],
        ];
        const names = await until('all spans have ended', () => {
          const chain = chainFrom(callers);
          return chain.length === 5 && chain;
        });
        expect(names).toEqual([...asked, ...told]);
      } finally {
        recordSpans(undefined);
      }
    });

    test('takes no body that is larger than any that makes sense', async () => {
      const { status, charge: problem } = await payment.post('/charges', { order: 'x'.repeat(70_000) }, bearer(order));
      expect([status, problem]).toMatchObject([413, { detail: 'a body has at most 65536 bytes' }]); // payment would say less
    });
  });

  test('asks once, and leaves it to its caller what to make of a payment service that is gone', async () => {
    await using directory = await mkdtempDisposable(join(tmpdir(), 'payment-'));
    const socketPath = join(directory.path, 'app.sock');
    await using sidecar = await startSidecar(socketPath);
    const ask = () => fetch(`${sidecar.url}/charges/1`, { headers: bearer(order) });
    for (let i = 0; i < 10; i++) expect((await ask()).status).toBe(502); // and never 503: no breaker of its own
    await using _app = await listen(
      createServer((_request, response) => response.end()),
      { socketPath },
    );
    expect((await ask()).status).toBe(200);
  });
});
