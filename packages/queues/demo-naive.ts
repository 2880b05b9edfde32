/** The half of the demo that fails. */
import type { Stage } from '@patterns/kit/demo';
import { openStage, PATIENCE_MS } from './demo-stage.ts';
import { PAYMENTS_PATH } from './protocol.ts';

/** Enough to see that nothing holds it back. */
const TRIES = 100;
const CAPACITY = 5;
const BURST = 12;

export async function runNaive(stage: Stage): Promise<void> {
  const { story } = stage;
  const shop = await openStage(stage, { capacity: CAPACITY });
  const front = await shop.open('naive.ts');
  const worker = (env: Record<string, string> = {}) => shop.start('naive.ts', ['work'], env);
  const pay = async (phone: string, url = shop.url) => {
    const body = JSON.stringify({ phone, amount: 1_250 });
    const headers = { 'Content-Type': 'application/json' };
    return (await fetch(url + PAYMENTS_PATH, { method: 'POST', headers, body })).status;
  };

  const a = worker({ GATEWAY_MS: '3000' });
  await pay('+4930100001');
  await a.line(/^sending to/, { withinMs: PATIENCE_MS });
  story.act('worker A', 'has acknowledged the job, and is at the gateway');
  story.fault('worker A is killed with -9; worker B is started');
  await a.kill('SIGKILL');
  const b = worker({ GATEWAY_UNREACHABLE: '+882' });
  await pay('+4930100002');
  story.act('worker B', await b.line(/^sent to/, { withinMs: PATIENCE_MS }));
  const lost = await shop.untold();
  story.act('customer', 'the first one hears nothing: its job is in no queue, and with no worker');

  story.fault('a payment comes from a number that the gateway cannot reach');
  await pay('+88210000003');
  await pay('+4930100004');
  const startedAt = performance.now();
  const tries = () => b.lines.items.filter((line) => line.startsWith('sending to +882')).length;
  await shop.until(`${TRIES} tries`, () => tries() >= TRIES);
  const seconds = ((performance.now() - startedAt) / 1_000).toFixed(1);
  story.act('worker B', `has tried ${tries()} times in ${seconds} s, and goes on; the next customer waits behind it`);
  const blocked = (await shop.messages('+4930100004')) === 0;

  let refused = 0;
  if (shop.promises('bounded')) {
    story.fault(`the queue takes ${CAPACITY}, and ${BURST} customers pay at once`);
    const phones = Array.from({ length: BURST }, (_, i) => `+49302000${10 + i}`);
    const statuses = await Promise.all(phones.map((phone) => pay(phone, front)));
    refused = statuses.filter((status) => status === 500).length;
    story.act('front', `${BURST - refused} × 201, ${refused} × 500; but it has charged all ${BURST}`);
    story.claim(`naive: ${refused} were charged, were told that it failed, and never heard more`, refused > 0);
  }

  story.measure('naive', {
    'payments taken': await shop.payments(),
    'customers told': await shop.messages(),
    'never told': await shop.untold(),
    'tries of what cannot be done': `${tries()}, no end`,
    'charged, and told that it failed': shop.promises('bounded') ? refused : '-',
    'told to come again, and served': 0,
  });
  story.claim('naive: what the killed worker had in hand is lost', lost === 1);
  story.claim(`naive: one job was tried ${tries()} times, and held up all others`, tries() >= TRIES && blocked);
}
