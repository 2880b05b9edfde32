import { startFaultProxy } from '@patterns/kit/testing/fault-proxy';
import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { getMenu, getOrder, placeOrder } from '../client.ts';
import { RetryBudget } from '../retry.ts';
import { PIZZA, startRestaurant } from './restaurant.ts';

requirePostgres()('the client, at the restaurant', () => {
  test('reads the menu, keeps it while it holds, orders, and looks the order up', async () => {
    await using restaurant = await startRestaurant();
    const known = await getMenu(restaurant.url);
    expect(known.menu.items).toHaveLength(12);
    expect(await getMenu(restaurant.url, { known })).toBe(known);
    const placed = await placeOrder(restaurant.url, PIZZA);
    expect(placed).toMatchObject({ ...PIZZA, total: 2000 });
    expect(await getOrder(restaurant.url, placed.id)).toEqual(placed);
  });

  test('whose answer was lost after the order was committed asks again, and the kitchen cooks once', async () => {
    await using restaurant = await startRestaurant();
    await using proxy = await startFaultProxy(restaurant.url);
    proxy.stall('down');
    const placing = placeOrder(proxy.url, PIZZA, { budget: new RetryBudget() });
    await until('the order is committed', restaurant.orders);
    proxy.cut();
    proxy.flow();
    const placed = await placing;
    expect(await getOrder(restaurant.url, placed.id)).toEqual(placed);
    expect(await restaurant.orders()).toBe(1);
  });

  test('whose answer is lost in silence gives up that attempt in time to ask again', async () => {
    await using restaurant = await startRestaurant();
    await using proxy = await startFaultProxy(restaurant.url);
    proxy.stall('down');
    const placing = placeOrder(proxy.url, PIZZA, {
      attemptMs: 200,
      maxAttempts: 100,
      budget: new RetryBudget({ burst: 100 }),
    });
    await until('the order is committed', restaurant.orders);
    await until('the first attempt was given up', () => proxy.connections > 1);
    proxy.flow();
    await placing;
    expect(await restaurant.orders()).toBe(1);
  });
});
