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
  // The last ones to end: the customer's stream, and the message that the payment was made.
  const isComplete = () => {
    const names = spans().map(({ service, name }) => `${service} ${name}`);
    return missingParents(spans()).length === 0 && LAST.every((last) => names.some((name) => last.test(name)));
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

const LAST = [/^notification notify$/, /^payment POST \/webhooks$/, /^tracking push state$/];
