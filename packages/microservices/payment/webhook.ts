/**
 * What the provider tells unasked. Often it says what its answer has said already; when the answer was lost, or we were killed
 * before we could write it down, it is how we hear of it.
 *
 * There is no inbox between the 200 and the effect, as webhooks' own shop has it (inbox.ts): the effect is a row or two, and is
 * committed before the answer. Nor does the order of events matter: each change of a charge says from where it starts.
 */
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { ID_HEADER, type PaymentEvent, readEvent, WEBHOOKS } from '@patterns/webhooks/protocol';
import { type KeyRing, register } from '@patterns/webhooks/registration';
import { verify } from '@patterns/webhooks/signature';
import express, { type Express } from 'express';
import { type Database, untilThere } from '../chassis/database.ts';
import { spanOf } from '../chassis/spans.ts';
import type { Change } from './charges.ts';
import type { Charging } from './charging.ts';

export interface WebhookOptions {
  keys: Pick<KeyRing, 'current'>;
  charging: Pick<Charging, 'settle'>;
  log: Log;
}

// #region webhook
export function takeWebhooks(app: Express, { keys, charging, log }: WebhookOptions): void {
  // As bytes, and as they come: that is what is signed.
  const rawBody = express.raw({ type: 'application/json', limit: '64kb', inflate: false });
  app.post(WEBHOOKS, rawBody, async (request, response) => {
    const body: Buffer = Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
    const verdict = verify(keys.current(), request.headers, body);
    const webhookId = request.get(ID_HEADER)?.slice(0, 200);
    if (verdict !== 'verified') {
      log.warn('webhook', { webhookId, outcome: verdict });
      throw new HttpProblem(401, { headers: { 'WWW-Authenticate': 'Webhook-Signature' } }); // and not a word of why
    }
    const event = readEvent(JSON.parse(body.toString()));
    const order = event?.data.reference;
    const charge = event && order && (await charging.settle(order, changeOf(event), spanOf(response).traceparent));
    log.info('webhook', { webhookId, type: event?.type, order, status: charge ? charge.status : 'none of ours' });
    response.end(); // also to what is known already, and to what is none of ours: an error would only bring it again
  });
}

function changeOf({ data: { payment, status } }: PaymentEvent): Change {
  if (status === 'succeeded') return { from: ['pending'], to: 'succeeded', payment };
  return { from: ['pending', 'succeeded', 'refunding'], to: 'refunded', payment };
}
// #endregion

export interface JoinOptions {
  db: Database;
  keys: KeyRing;
  providerUrl: string;
  /** Where the provider reaches our webhooks: the sidecar. */
  publicUrl: string;
}

/** Registers at the provider; goes on trying while it is away, since payments need not wait for it. Disposed, it gives up. */
export function joinProvider({ db, keys, providerUrl, publicUrl }: JoinOptions): AsyncDisposable {
  const closing = new AbortController();
  const join = async () => {
    await register(db, providerUrl, publicUrl + WEBHOOKS);
    await keys.refresh();
  };
  const joining = untilThere(join, { signal: closing.signal }).catch(() => {}); // given up
  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await joining;
    },
  };
}
