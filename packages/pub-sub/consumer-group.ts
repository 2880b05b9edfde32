/**
 * One member of a consumer group: reads what nobody in the group has had yet, acknowledges it after the work, and takes over what
 * a dead member left behind.
 *
 * Redis has no idea whether the holder of an entry is alive. A member that works long says so (`keep`), and what has not been touched
 * for `claimAfterMs` is taken by the next one who looks. So a message may be handled twice, after a pause or a lost acknowledgement:
 * make the work idempotent by `message.id`. Ends with `leave`.
 */
import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Handler } from './broker.ts';
import { deliver } from './group-delivery.ts';
import * as ledger from './group-ledger.ts';
import { PubSubError } from './protocol.ts';
import { hangUp, unavailable } from './redis-connection.ts';

export interface GroupOptions {
  blockMs: number;
  batch: number;
  claimAfterMs: number;
  maxAttempts: number;
  onProblem: (problem: PubSubError) => void;
}

/** Redis may refuse at once, every time: the pause keeps that from spinning. */
const RETRY_MS = 100;
/** How soon a read that began in the very moment of `leave` is woken. */
const UNBLOCK_MS = 20;

/** Resolves when the group exists, and everything after `start` is its: the first read is under way. */
export async function joinGroup(
  place: Omit<ledger.Place, 'consumer'> & { start: string },
  options: GroupOptions,
  handler: Handler,
): Promise<Member> {
  // A name that nobody else has: two members under one name would share what they have in hand.
  const member = new Member({ ...place, consumer: randomUUID() }, options, handler);
  try {
    await ledger.createGroup(member.place, place.start);
  } catch (error) {
    throw unavailable(error);
  }
  member.begin();
  return member;
}

export class Member {
  readonly place: ledger.Place;
  readonly #options: GroupOptions;
  readonly #handler: Handler;
  readonly #inHand = new Set<string>();
  /** Done with, and not acknowledged yet. */
  #done: string[] = [];
  #acknowledging: Promise<void> = Promise.resolve();
  #claimAt = 0;
  #keeping: NodeJS.Timeout | undefined;
  #working: Promise<void> | undefined;
  #leaving = false;
  /** Of the connection that waits, so that it can be woken. */
  #readerId: number | undefined;

  constructor(place: ledger.Place, options: GroupOptions, handler: Handler) {
    this.place = place;
    place.reader.on('close', () => (this.#readerId = undefined));
    this.#options = options;
    this.#handler = handler;
  }

  begin(): void {
    const keep = () => void ledger.keep(this.place, [...this.#inHand]).catch(() => {}); // the line's own error says it
    this.#keeping = setInterval(keep, this.#options.claimAfterMs / 3);
    this.#working = this.#work().finally(() => (this.#working = undefined));
  }

  // #region work
  async #work(): Promise<void> {
    while (!this.#leaving) {
      try {
        const parcels = performance.now() >= this.#claimAt ? await this.#claim() : await this.#read();
        for (const { position } of parcels) this.#inHand.add(position);
        for (const parcel of parcels) {
          if (this.#leaving) break;
          const isDone = deliver(parcel, this.place, this.#options, this.#handler);
          // A tick for each message would cost more than many a handler.
          if (typeof isDone === 'boolean' ? isDone : await isDone) this.#done.push(parcel.position);
          this.#inHand.delete(parcel.position);
        }
        await this.#acknowledging; // that of the batch before: this one's goes out while the next batch is read
        this.#acknowledging = this.#acknowledge();
      } catch (error) {
        if (!this.#leaving) await this.#recover(error as Error);
      }
    }
  }

  async #read(): Promise<ledger.Parcel[]> {
    const { batch, blockMs } = this.#options;
    this.#readerId ??= await this.place.reader.client('ID');
    const waitMs = Math.ceil(Math.min(blockMs, Math.max(1, this.#claimAt - performance.now()))); // 0 would be for ever
    return ledger.readNew(this.place, batch, waitMs);
  }

  async #claim(): Promise<ledger.Parcel[]> {
    const { batch, claimAfterMs, onProblem } = this.#options;
    const { stale, lost } = await ledger.claimStale(this.place, batch, claimAfterMs);
    if (stale.length < batch) this.#claimAt = performance.now() + claimAfterMs / 2;
    if (lost > 0)
      onProblem(new PubSubError('cursor-expired', `${lost} messages were trimmed before they were handled`));
    return stale;
  }
  // #endregion

  /** What could not be acknowledged is tried again with the next batch: the work is done, and XACK may be repeated. */
  async #acknowledge(): Promise<void> {
    const positions = this.#done;
    this.#done = [];
    await ledger.acknowledge(this.place, positions).catch((error) => {
      this.#done.unshift(...positions);
      this.#options.onProblem(unavailable(error));
    });
  }

  async #recover(error: Error): Promise<void> {
    this.#options.onProblem(unavailable(error));
    this.#inHand.clear(); // still pending in Redis: claimed again, by us or another
    // The log is gone, and its groups with it: what comes into the new one is all unread.
    if (error.message.startsWith('NOGROUP')) await ledger.createGroup(this.place, '0-0').catch(() => {});
    await pause(RETRY_MS);
  }

  /** Lets the handler finish, acknowledges what is done, and hands back what is not. */
  async leave(): Promise<void> {
    this.#leaving = true;
    while (this.#working) {
      await this.#unblock();
      await Promise.race([this.#working, pause(UNBLOCK_MS)]);
    }
    clearInterval(this.#keeping);
    await this.#acknowledging;
    await this.#acknowledge();
    const { claimAfterMs } = this.#options;
    // As if it had lain there untouched: the next member who looks takes it at once.
    await ledger.keep(this.place, [...this.#inHand], claimAfterMs).catch(() => {});
    await ledger.forget(this.place).catch(() => {});
  }

  /** Not by cutting the line: what was on it would be pending, in nobody's hand, until it is claimed. */
  async #unblock(): Promise<void> {
    const { reader, commands } = this.place;
    if (reader.status !== 'ready') return hangUp(reader);
    if (this.#readerId === undefined) return; // it has not begun
    await commands.client('UNBLOCK', this.#readerId).catch(() => hangUp(reader));
  }
}
