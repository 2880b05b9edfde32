/** What was given up is found over HTTP, with its reason, and can be put back. */
import { until } from '@patterns/kit/testing/until';
import { requireRedis } from '@patterns/services/testing';
import { expect, test } from 'vitest';
import type { DeadLetter } from '../protocol.ts';
import { openShop, PAYMENT } from './shop.ts';

requireRedis()('dead letters', () => {
  test('are listed with their reason, seen in the metrics, and done when they are put back', async () => {
    await using shop = await openShop();
    const list = async () => (await (await fetch(`${shop.url}/dead`)).json()) as DeadLetter[];
    const redrive = async (queue: string, id: string) =>
      (await fetch(`${shop.url}/dead/${queue}/${encodeURIComponent(id)}/redrive`, { method: 'POST' })).status;
    expect(await list()).toEqual([]);

    await shop.pay({ ...PAYMENT, phone: '+88212345678' });
    const worker = shop.hire({ unreachable: '+882' });
    await until('it is given up', async () => (await list()).length === 1);
    const [letter] = await list();
    expect(letter).toMatchObject({ queue: 'notifications', kind: 'notify', attempts: 2 });
    expect(letter!.reason).toBe('the gateway has no route to +88212345678');
    await worker.stop();

    await shop.pay(PAYMENT);
    await until('the next one waits', async () => (await shop.queue.depth()).ready === 1);
    const metrics = await (await fetch(`${shop.url}/metrics`)).text();
    expect(metrics).toContain('queue_jobs{queue="notifications",state="dead"} 1');
    expect(metrics).toContain('queue_jobs{queue="notifications",state="ready"} 1');
    expect(Number(/^queue_oldest_age_seconds\{queue="notifications"\} (\S+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
    expect(metrics).toMatch(/^outbox_jobs 0$/m);

    expect(await redrive('submissions', letter!.id)).toBe(404);
    expect(await redrive('toString', letter!.id)).toBe(404);
    expect(await redrive('notifications', letter!.id)).toBe(204);
    expect(await redrive('notifications', letter!.id)).toBe(404);
    shop.hire();
    await until('both are told', async () => (await shop.messages()) === 2);
    expect(await list()).toEqual([]);
  });
});
