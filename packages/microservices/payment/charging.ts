/**
 * Charging and giving back, over a provider that may not answer. Its silence means nothing: it may have taken the money, or never
 * have heard of us. So whatever is asked carries the order's id as its key, and may be asked again: by the order service, by
 * the reconciliation here, after a kill -9. Whoever asks second is answered what the first one was.
 */
import type { Database } from '../chassis/database.ts';
import { DependencyError } from '../chassis/dependency-error.ts';
import type { ChargeRequest } from '../contracts/payment.ts';
import { type Change, type KnownCharge, openCharge, openRefund, settle } from './charges.ts';
import type { AskedBy, Provider } from './provider.ts';

/** In cents. More is declined, before the provider is asked. */
const LIMIT = 500_00;

export interface Charging {
  charge(request: ChargeRequest, by: AskedBy): Promise<KnownCharge>;
  refund(request: ChargeRequest, by: AskedBy): Promise<KnownCharge>;
  /** Finds out what has become of a charge that is pending or refunding. @returns it as it was, when nobody answers */
  pursue(charge: KnownCharge, by: AskedBy): Promise<KnownCharge>;
  /** Takes note of what the provider has done. @returns the charge as it is now; undefined when there is none */
  settle(order: string, change: Change, traceparent: string | undefined): Promise<KnownCharge | undefined>;
}

/** @param wake told when there is something to tell */
export function chargeWith(db: Database, provider: Provider, wake: () => void): Charging {
  const note: Charging['settle'] = async (...change) => {
    const charge = await settle(db, ...change);
    wake();
    return charge;
  };

  // #region pursue
  async function pursue(charge: KnownCharge, by: AskedBy): Promise<KnownCharge> {
    const { order, status } = charge;
    try {
      // Of a charge that is to be given back, too, if its payment is not known: to ask whether there is one would not do, since the
      // first request may still be on its way. With the same key there is exactly one afterwards, and that is given back.
      const payment = charge.payment ?? (await provider.pay(charge, by));
      if (status === 'pending') {
        return (await note(order, { from: ['pending'], to: 'succeeded', payment }, by.parent)) ?? charge;
      }
      await provider.giveBack(payment, by);
      return (await note(order, { from: ['refunding'], to: 'refunded', payment }, by.parent)) ?? charge;
    } catch (error) {
      const isUnknown = error instanceof DependencyError || by.deadline.signal.aborted;
      if (isUnknown) return charge; // it stays as it is, and is asked about again
      throw error;
    }
  }
  // #endregion

  return {
    async charge(request, by) {
      const isTooMuch = request.amount > LIMIT;
      const first = isTooMuch
        ? ({ status: 'declined', reason: 'more than 500.00 is not charged' } as const)
        : ({ status: 'pending' } as const);
      const charge = await openCharge(db, request, { ...first, traceparent: by.parent });
      return charge.status === 'pending' ? await pursue(charge, by) : charge;
    },
    async refund(request, by) {
      const charge = await openRefund(db, request, by.parent);
      return charge.status === 'refunding' ? await pursue(charge, by) : charge;
    },
    pursue,
    settle: note,
  };
}
