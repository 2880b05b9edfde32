import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { DELIVERIES_CHANNEL, KITCHEN_CHANNEL } from '../contracts/events.ts';
import { ORDERS_PATH } from '../protocol.ts';
import { openOrderRig } from './order-rig.ts';

requirePostgres()('the saga of an order', () => {
  let rig: Awaited<ReturnType<typeof openOrderRig>>;
  beforeAll(async () => {
    rig = await openOrderRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  const kitchen = (order: string, type: string, id?: string) => rig.say(KITCHEN_CHANNEL, { order, type }, id);
  const courier = (order: string, type: string, id?: string) => rig.say(DELIVERIES_CHANNEL, { order, type }, id);

  test.concurrent('goes from one state to the next as kitchen and courier say, in one trace', async () => {
    const id = await rig.customer().paid();
    await kitchen(id, 'accepted');
    await rig.told(id, 'cooking');
    await kitchen(id, 'cooked');
    await courier(id, 'picked-up');
    await rig.told(id, 'on-the-way');
    await courier(id, 'delivered');
    await rig.told(id, 'delivered');
    expect(rig.story(id)).toEqual(['placed', 'paid', 'cooking', 'on-the-way', 'delivered']);
    expect(rig.events(id).map(({ version }) => version)).toEqual([1, 2, 3, 4, 5]);
    const [placed, paid] = rig.heard
      .filter(({ id: message }) => message === `${id}:1` || message === `${id}:2`)
      .map(({ traceparent }) => traceparent!.split('-'));
    expect(placed![1]).toBe(paid![1]); // the trace
    expect(placed![2]).not.toBe(paid![2]); // the span
  });

  test.concurrent('messages that come again, late, or in the wrong order change nothing twice, and nothing back', async () => {
    const ann = rig.customer();
    const id = await ann.paid();
    await kitchen(id, 'cooked', `${id}:cooked`);
    await rig.told(id, 'cooking');
    await kitchen(id, 'accepted');
    await kitchen(id, 'cooked', `${id}:cooked`);
    await kitchen(id, 'refused');
    await courier(id, 'delivered');
    await rig.told(id, 'delivered');
    for (const word of ['picked-up', 'delivered', 'picked-up']) await courier(id, word);
    await kitchen(id, 'accepted');
    // Whoever is heard after all of that, on both channels.
    const last = await ann.paid();
    await kitchen(last, 'accepted');
    await rig.told(last, 'cooking');
    await courier(last, 'picked-up');
    await rig.told(last, 'on-the-way');
    expect(rig.story(id)).toEqual(['placed', 'paid', 'cooking', 'delivered']);
    expect(ann.bank.done).toEqual([`succeeded ${id}`, `succeeded ${last}`]);
  });

  test.concurrent('what the kitchen refuses is undone in reverse, and asked for until it is done, once', async () => {
    const ann = rig.customer();
    const id = await ann.paid();
    const before = ann.bank.asked.length;
    ann.bank.behaviour = 'lost'; // it gives the money back, and its answer does not arrive
    await rig.say(KITCHEN_CHANNEL, { order: id, type: 'refused', reason: 'truffle is sold out' });
    await until('it is asked again', () => ann.bank.asked.length >= before + 2);
    // The kitchen has heard of it, and the money is not back as far as we know.
    await rig.told(id, 'cancelling');
    expect(rig.story(id)).toEqual(['placed', 'paid', 'cancelling']);
    ann.bank.behaviour = 'pending'; // still under way
    const lost = ann.bank.asked.length;
    await until('and again', () => ann.bank.asked.length > lost);
    ann.bank.behaviour = 'answers';
    await rig.told(id, 'cancelled');
    expect(ann.bank.done).toEqual([`succeeded ${id}`, `refunded ${id}`]);
    const seen = await (await ann.get(`${ORDERS_PATH}/${id}`)).json();
    expect(seen).toMatchObject({ state: 'cancelled', reason: 'truffle is sold out' });
  });
});

requirePostgres()('an order that has waited too long', () => {
  let rig: Awaited<ReturnType<typeof openOrderRig>>;
  beforeAll(async () => {
    rig = await openOrderRig({ payWithinMs: 300, acceptWithinMs: 300 });
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test.concurrent('for the kitchen is cancelled, and what the kitchen says then comes too late', async () => {
    const ann = rig.customer();
    const id = await ann.paid();
    await rig.told(id, 'cancelled');
    await rig.say(KITCHEN_CHANNEL, { order: id, type: 'accepted' });
    await rig.say(KITCHEN_CHANNEL, { order: id, type: 'cooked' });
    const after = await ann.paid();
    await rig.say(KITCHEN_CHANNEL, { order: after, type: 'refused' }); // whoever is heard after that
    await rig.told(after, 'cancelled');
    expect(rig.story(id)).toEqual(['placed', 'paid', 'cancelling', 'cancelled']);
    expect(rig.events(id).at(-1)?.reason).toBe('the kitchen did not answer in time');
    expect(ann.bank.done.filter((what) => what.endsWith(id))).toEqual([`succeeded ${id}`, `refunded ${id}`]);
  });

  test.concurrent('to be paid is cancelled, and paid back if it was', async () => {
    const [ann, bob] = [rig.customer(), rig.customer()];
    ann.bank.behaviour = 'fails'; // never charged
    bob.bank.behaviour = 'lost'; // charged, and nobody hears of it
    const [hers, his] = await Promise.all([ann.place(), bob.place()]);
    await Promise.all([rig.told(hers.id, 'cancelling'), rig.told(his.id, 'cancelling')]);
    ann.bank.behaviour = 'answers';
    bob.bank.behaviour = 'answers';
    await Promise.all([rig.told(hers.id, 'cancelled'), rig.told(his.id, 'cancelled')]);
    expect(ann.bank.done).toEqual([`void ${hers.id}`]);
    expect(bob.bank.done).toEqual([`succeeded ${his.id}`, `refunded ${his.id}`]);
    expect(rig.story(hers.id)).toEqual(['placed', 'awaiting-payment', 'cancelling', 'cancelled']);
    expect(rig.events(hers.id).at(-1)?.reason).toBe('it could not be paid in time');
  });
});
