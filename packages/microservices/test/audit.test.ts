/** That the audit finds what does not fit together: demo, chaos and fault tests rest on it. */
import { createDatabase } from '@patterns/services/database';
import { requirePostgres } from '@patterns/services/testing';
import pg from 'pg';
import { expect, inject, test } from 'vitest';
import { AUDITED, audit, type Books } from '../audit.ts';

/** All books in one database: a delivered order, a cancelled one, a rejected one, with no more columns than are asked for. */
const SOUND_BOOKS = `
  create schema food; create schema payment; create schema provider; create schema notification;
  create schema kitchen; create schema tracking;
  create table food.orders as select * from (values ('d', 'delivered', 2600), ('c', 'cancelled', 4900), ('r', 'rejected', 98000))
    as orders(id, state, total);
  create table payment.charges as select * from (values ('d', 'succeeded', 2600), ('c', 'refunded', 4900), ('r', 'declined', 98000))
    as charges(order_id, status, amount);
  create table provider.payments as select * from (values ('pay_1', 'd', 'succeeded', 2600), ('pay_2', 'c', 'refunded', 4900))
    as payments(id, reference, status, amount);
  create table notification.messages as
    select * from (values ('d', 'succeeded', 2600), ('c', 'succeeded', 4900), ('c', 'refunded', 4900))
    as messages(order_id, what, amount);
  create table kitchen.tickets as select * from (values ('d', 'served')) as tickets(order_id, state);
  create table tracking.deliveries as select * from (values ('d', 'delivered', true, 0))
    as deliveries(order_id, state, picked_up, metres);`;

async function openBooks(stack: AsyncDisposableStack) {
  const { url } = stack.use(await createDatabase(inject('databaseUrl'), 'audit'));
  const client = stack.adopt(new pg.Client({ connectionString: url }), (each) => each.end());
  await client.connect();
  await client.query(SOUND_BOOKS);
  return { client, books: Object.fromEntries(AUDITED.map((name) => [name, url])) as Books };
}

requirePostgres()('the audit', () => {
  test('finds nothing in books that fit together, and adds up the money', async () => {
    await using stack = new AsyncDisposableStack();
    const { books } = await openBooks(stack);
    const result = await audit(books, ['d', 'c', 'r']);
    expect(result.faults).toEqual([]);
    expect(result).toMatchObject({ orders: 3, delivered: 2600, paid: 2600, kept: 1, told: 3 });
    expect(result.states).toEqual({ delivered: 1, cancelled: 1, rejected: 1 });
  });

  test('finds each thing that does not fit', async () => {
    await using stack = new AsyncDisposableStack();
    const { client, books } = await openBooks(stack);
    const faultsAfter = async (change: string, orders: string[] = []) => {
      await client.query(change);
      const { faults } = await audit(books, orders);
      await client.query('drop schema food, payment, provider, notification, kitchen, tracking cascade');
      await client.query(SOUND_BOOKS);
      return faults.join('\n');
    };
    const wrong: readonly (readonly [change: string, fault: string])[] = [
      [`update food.orders set state = 'cooking' where id = 'd'`, 'is not over'],
      [`delete from food.orders where id = 'd'`, 'order d: paid, and never ordered'],
      [`insert into provider.payments values ('pay_3', 'd', 'refunded', 2600)`, '2 payments at the provider'],
      [`update provider.payments set status = 'succeeded'`, '1 payments were kept'],
      [`update provider.payments set amount = 2599 where reference = 'd'`, '2599 paid of 2600'],
      [
        `update payment.charges set status = 'pending' where order_id = 'd'`,
        'to payment it is pending, and 1 are kept',
      ],
      [`update payment.charges set status = 'void' where order_id = 'c'`, 'to payment it is void, refunded: true'],
      [`insert into notification.messages values ('d', 'succeeded', 2600)`, 'told 2 times that it was paid'],
      [`delete from notification.messages where order_id = 'd'`, 'told 0 times that it was paid'],
      [`delete from notification.messages where what = 'refunded'`, 'told 0 times of the refund'],
      [`delete from kitchen.tickets`, 'nobody cooked it'],
      [`update tracking.deliveries set metres = 300`, 'no courier brought it'],
      [`insert into tracking.deliveries values ('c', 'delivered', true, 0)`, 'a courier brought it'],
      [`update provider.payments set amount = 2599 where reference = 'd'`, 'delivered for 2600, and paid 2599'],
    ];
    for (const [change, fault] of wrong) expect(await faultsAfter(change), change).toContain(fault);
    expect(await faultsAfter('select 1', ['gone'])).toContain('order gone: the customer was told of it');
  });
});
