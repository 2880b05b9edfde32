/**
 * One order, alone: what crosses between the customer and the gateway, and then what crossed behind it, as its trace tells it.
 */
import { randomUUID } from 'node:crypto';
import type { Stage } from '@patterns/kit/demo';
import { followOrder, logIn, placeOrder, signUp } from './client.ts';
import type { DemoTown } from './demo-town.ts';
import { missingParents, traceTree } from './trace-tree.ts';

/** @returns the order, and whether its trace is one tree. */
export async function showOneOrder({ story, signal }: Stage, town: DemoTown) {
  const customer = { name: `ann-${randomUUID().slice(0, 4)}`, password: randomUUID() };
  await signUp(town.url, customer, { signal });
  const token = await logIn(town.url, customer, { signal });
  const wish = { items: [{ dish: 'ramen', quantity: 2 }], address: '1 Harbour Street' };
  const { traceId = '', ...order } = await placeOrder(town.url, token, wish, { signal });
  for await (const _ of followOrder(town.url, order, { signal })); // the wire shows it
  town.sumUp();

  const spans = () => town.collector.spansOf(traceId);
  const isComplete = () => {
    const names = spans().map(({ service, name }) => `${service} ${name}`);
    const count = (sought: string) => names.filter((name) => name === sought).length;
    return missingParents(spans()).length === 0 && Object.entries(WHOLE).every(([name, n]) => count(name) >= n);
  };
  await town.wait('the trace is complete', isComplete);
  story.act('gateway', `the same order from inside: trace ${traceId}`);
  console.log(
    `\n${traceTree(spans())
      .map((line) => `  ${line}`)
      .join('\n')}\n`,
  );
  return {
    order: order.id,
    spans: spans().length,
    services: new Set(spans().map(({ service }) => service)).size,
    isWhole: missingParents(spans()).length === 0 && spans().filter(({ parentId }) => !parentId).length === 1,
  };
}

/** What comes late, and how often: five states were pushed, ten positions; and somebody was told of the payment. */
const WHOLE = { 'tracking push state': 5, 'tracking push courier': 10, 'notification notify': 1 };
