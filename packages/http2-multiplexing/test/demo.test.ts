import { startProcess } from '@patterns/kit/testing/processes';
import { expect, test } from 'vitest';

test('the demo shows what it claims', { timeout: 90_000 }, async () => {
  await using demo = startProcess(new URL('../demo.ts', import.meta.url));
  const { code } = await demo.exited;
  expect(code, demo.output()).toBe(0);
});
