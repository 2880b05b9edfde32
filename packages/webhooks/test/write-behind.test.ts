import { expect, test } from 'vitest';
import { writeBehind } from '../write-behind.ts';
import { quiet } from './provider-stage.ts';

test('what comes up while something is being written goes into the next statement, together', async () => {
  const batches: number[][] = [];
  const room = Promise.withResolvers<void>();
  const write = writeBehind<number>(async (items) => {
    batches.push([...items]);
    if (batches.length === 1) await room.promise;
  }, quiet);
  const first = [write(1), write(2)];
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
  const second = [write(3), write(4)];
  room.resolve();
  await Promise.all([...first, ...second]);
  expect(batches).toEqual([
    [1, 2],
    [3, 4],
  ]);
});

test('what could not be written is written again, and only then is it done', async () => {
  const written: number[] = [];
  let failures = 2;
  const write = writeBehind<number>(async (items) => {
    if (failures-- > 0) throw new Error('the connection broke');
    written.push(...items);
  }, quiet);
  await Promise.all([write(1), write(2)]);
  expect(written).toEqual([1, 2]);
});
