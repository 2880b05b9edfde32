import { startProcess } from '@patterns/kit/testing/processes';
import { requireExtra } from '@patterns/services/testing';
import { expect, test } from 'vitest';

requireExtra('redis')('the demo', () => {
  test('shows what it claims: naive loses, sound does not', { timeout: 90_000 }, async () => {
    await using demo = startProcess(new URL('../demo.ts', import.meta.url));
    const { code } = await demo.exited;
    expect(code, demo.output()).toBe(0);
  });
});
