import { until } from '@patterns/kit/testing/until';
import { requirePostgres } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import { isCurrent } from '../conditional.ts';
import { startRestaurant } from './restaurant.ts';

requirePostgres()('the menu', () => {
  test('is answered with its version, and with 304 and no body to who has that version', async () => {
    await using restaurant = await startRestaurant();
    const first = await fetch(`${restaurant.url}/menu`);
    expect(first.status).toBe(200);
    expect(((await first.json()) as { items: unknown[] }).items).toContainEqual({
      id: 'pizza',
      name: 'Pizza',
      price: 1000,
    });
    const etag = first.headers.get('ETag')!;
    expect(etag).toMatch(/^"[^"]+"$/);

    const again = await fetch(`${restaurant.url}/menu`, { headers: { 'If-None-Match': etag } });
    expect(again.status).toBe(304);
    expect(again.headers.get('ETag')).toBe(etag);
    expect(again.headers.get('Cache-Control')).toBe(first.headers.get('Cache-Control'));
    expect(again.headers.get('Content-Length')).toBe(null);
    expect(await again.text()).toBe('');
  });

  test('has another version as soon as a price has changed, and so has that dish, and no other', async () => {
    await using restaurant = await startRestaurant({ refreshMs: 10 });
    const etagOf = async (path: string) => {
      const response = await fetch(`${restaurant.url}${path}`);
      await response.text();
      return response.headers.get('ETag');
    };
    const before = await Promise.all(['/menu', '/menu/pizza', '/menu/soup'].map(etagOf));
    await restaurant.query("update restaurant.dishes set price = 1100 where id = 'pizza'");
    await until('another version', async () => (await etagOf('/menu')) !== before[0]);
    expect(await etagOf('/menu/pizza')).not.toBe(before[1]);
    expect(await etagOf('/menu/soup')).toBe(before[2]);
  });

  test('has the same version on every server', async () => {
    await using one = await startRestaurant();
    await using other = await startRestaurant();
    const [a, b] = await Promise.all([one, other].map(({ url }) => fetch(`${url}/menu`)));
    expect(a?.headers.get('ETag')).toBe(b?.headers.get('ETag'));
    await Promise.all([a?.text(), b?.text()]);
  });

  test('answers HEAD with the headers of GET', async () => {
    await using restaurant = await startRestaurant();
    const get = await fetch(`${restaurant.url}/menu/soup`);
    const head = await fetch(`${restaurant.url}/menu/soup`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    for (const name of ['ETag', 'Content-Type', 'Content-Length'])
      expect(head.headers.get(name)).toBe(get.headers.get(name));
    expect(Buffer.byteLength(await get.text())).toBe(Number(get.headers.get('Content-Length')));
  });
});

test.each([
  ['"v1"', true],
  ['W/"v1"', true],
  ['"v0", "v1"', true],
  ['W/"v1", "v0"', true],
  ['"a,b", W/"v1"', true],
  ['*', true],
  ['"v2"', false],
  ['v1', false],
  ['"v1', false],
  ['"x,"v1","', false],
  [undefined, false],
])('If-None-Match: %s names "v1": %s', (field, expected) => {
  expect(isCurrent(field, '"v1"')).toBe(expected);
});
