/**
 * One delivery to a member of a group, and what becomes of it: done, once more after `claimAfterMs`, or set aside.
 * What fails every time (poison) would else come back for ever, and in the end nobody would do anything else.
 */
import type { Handler } from './broker.ts';
import { type Parcel, type Place, setAside } from './group-ledger.ts';
import { decode, type Envelope, PubSubError } from './protocol.ts';

export interface DeliveryOptions {
  /** Deliveries after which a message counts as poison. */
  maxAttempts: number;
  onProblem: (problem: PubSubError) => void;
}

// #region deliver
/** @returns whether the work is done, and the entry may be acknowledged. Rejects only when it could not be set aside. */
export function deliver(
  parcel: Parcel,
  place: Place,
  { maxAttempts, onProblem }: DeliveryOptions,
  handler: Handler,
): boolean | Promise<boolean> {
  const { position, attempt, text } = parcel;
  const giveUp = async (reason: string) => {
    await setAside(place, parcel, reason);
    onProblem(new PubSubError('set-aside', `${position} after ${attempt} attempts: ${reason}`));
    return false;
  };
  const failed = (cause: unknown) => {
    onProblem(new PubSubError('handler-failed', `${position} failed, attempt ${attempt}`, { cause }));
    // Whoever cannot read it says so: it will not get better.
    const isHopeless = cause instanceof PubSubError && cause.code === 'malformed-message';
    return attempt < maxAttempts && !isHopeless ? false : giveUp(String(cause));
  };
  // A member that dies of it cannot say so: the count of deliveries does.
  if (attempt > maxAttempts) return giveUp('whoever had it was gone before it was done');
  let message: Envelope;
  try {
    message = decode(text);
  } catch (error) {
    onProblem(error as PubSubError);
    return setAside(place, parcel, (error as Error).message).then(() => false); // it will not get better
  }
  try {
    const handling = handler(message, { position, attempt });
    return handling ? handling.then(() => true, failed) : true;
  } catch (cause) {
    return failed(cause);
  }
}
// #endregion
