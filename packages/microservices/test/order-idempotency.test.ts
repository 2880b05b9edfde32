import { randomUUID } from 'node:crypto';
import { requirePostgres } from '@patterns/services/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readOrderView } from '../protocol.ts';
import { openOrderRig, PIZZA } from './order-rig.ts';

requirePostgres()('an Idempotency-Key', () => {
  let rig: Awaited<ReturnType<typeof openOrderRig>>;
  beforeAll(async () => {
    rig = await openOrderRig();
  });
  afterAll(() => rig[Symbol.asyncDispose]());

  test.concurrent('makes one order of one that two instances are asked for many times at once', async () => {
    await using other = await rig.startInstance();
    const ann = rig.customer();
    const key = randomUUID();
    const answers = await Promise.all(
      Array.from({ length: 12 }, async (_, i) => {
        const response = await ann.post({ key, url: i % 2 === 0 ? rig.url : other.url });
        // In progress: come again. Or the answer, of which only one is the first.
        if (response.status === 409) return { status: 409, retryAfter: response.headers.get('Retry-After') };
        return { status: response.status, id: readOrderView(await response.json()).id };
      }),
    );
    expect(answers.filter(({ status }) => ![201, 202, 409].includes(status))).toEqual([]);
    expect(answers.filter(({ status, retryAfter }) => status === 409 && retryAfter !== '1')).toEqual([]);
    const ids = new Set(answers.flatMap(({ id }) => id ?? []));
    const [id] = ids;
    await rig.told(id!, 'paid');
    expect(ids.size).toBe(1);
    expect(ann.bank.done).toEqual([`succeeded ${id}`]);
    const { rows } = await rig.pool.query('select id from food.orders where customer = $1', [ann.name]);
    expect(rows).toEqual([{ id }]);
  });

  test.concurrent('is answered again with the same order, as it stands by then', async () => {
    const ann = rig.customer();
    const key = randomUUID();
    ann.bank.behaviour = 'pending';
    const first = await ann.post({ key });
    expect([first.status, first.headers.get('Idempotent-Replayed')]).toEqual([202, null]);
    const { id } = readOrderView(await first.json());
    ann.bank.behaviour = 'answers';
    await rig.told(id, 'paid');
    const second = await ann.post({ key, body: { address: PIZZA.address, items: PIZZA.items } });
    expect([second.status, second.headers.get('Idempotent-Replayed')]).toEqual([201, 'true']);
    expect(readOrderView(await second.json())).toMatchObject({ id, state: 'paid' });
    expect(second.headers.get('Location')).toBe(first.headers.get('Location'));
  });

  test.concurrent('is of one customer and of one order: another customer may choose the same, another order may not', async () => {
    const key = randomUUID();
    const [ann, bob] = [rig.customer(), rig.customer()];
    const [hers, his] = await Promise.all([ann.place({ key }), bob.place({ key })]);
    expect(hers.id).not.toBe(his.id);
    const other = await ann.post({ key, body: { ...PIZZA, address: '2 Main Street' } });
    expect(other.status).toBe(422);
  });
});
