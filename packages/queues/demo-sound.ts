/** The half of the demo that does not fail. */
import type { Stage } from '@patterns/kit/demo';
import { follow, pay, submit } from './client.ts';
import { openStage, type Shop, type Worker } from './demo-stage.ts';
import { DEAD_PATH, type DeadLetter, PAYMENTS_PATH } from './protocol.ts';

const CAPACITY = 4;
const BURST = 12;
/** Leases in whole seconds: some brokers know no others. */
const TERMS = { LEASE_MS: '2000', BACKOFF_MS: '400', MAX_ATTEMPTS: '3' };
/** Longer than a lease. */
const SLOW = { ...TERMS, GATEWAY_MS: '3000' };
const CODE = {
  language: 'javascript',
  code: 'let sum = 0; for (let i = 0; i < 1e5; i++) sum += i; print(sum);',
} as const;

export async function runSound(stage: Stage): Promise<void> {
  const { story, signal } = stage;
  const shop = await openStage(stage, { capacity: CAPACITY });
  const front = await shop.open('server.ts');
  story.tryIt(
    `curl -i ${front}${PAYMENTS_PATH} -H 'Content-Type: application/json' -d '{"phone":"+4930123456","amount":1250}'`,
  );
  story.tryIt(`curl ${front}/metrics`);
  const order = (phone: string) => pay(shop.url, { phone, amount: 1_250 }, { signal });

  await killInMidJob(stage, shop, order);
  const tries = await setAside(stage, shop, order);
  const workers = await outlastTheLease(stage, shop, order);
  const refused = await overflow(stage, shop, { front, workers });

  const [payments, messages, untold] = [await shop.payments(), await shop.messages(), await shop.untold()];
  story.measure('sound', {
    'payments taken': payments,
    'customers told': messages,
    'never told': untold,
    'tries of what cannot be done': tries,
    'charged, and told that it failed': 0,
    'told to come again, and served': refused,
  });
  story.claim(`sound: ${payments} payments, and each customer was told, once`, untold === 0 && messages === payments);
}

type Order = (phone: string) => ReturnType<typeof pay>;

async function killInMidJob({ story }: Stage, shop: Shop, order: Order): Promise<void> {
  const a = await shop.hire('worker A', SLOW);
  await order('+4930100001');
  await a.saw('taken');
  story.fault('worker A is killed with -9; worker B is started');
  await a.program.kill('SIGKILL');
}

/** Worker B first does what worker A had in hand. */
async function setAside({ story }: Stage, shop: Shop, order: Order): Promise<number> {
  const b = await shop.hire('worker B', { ...TERMS, GATEWAY_UNREACHABLE: '+882' });
  const { attempt } = await b.saw('done');
  const told = await shop.messages('+4930100001');
  story.claim('sound: what worker A had in hand, worker B did, and the customer was told once', told === 1);
  if (shop.promises('attempts')) story.claim('sound: the attempt of the dead worker was counted', attempt === 2);

  story.fault('a payment comes from a number that the gateway cannot reach');
  await order('+88210000003');
  await order('+4930100004');
  await b.saw('done');
  const { attempt: tries = 0 } = await b.saw('dead');
  story.claim(`sound: after ${tries} attempts it was set aside, and held up nobody`, tries === 3);
  await b.program.kill('SIGTERM');
  return tries;
}

/** The dead job is put back, and takes longer than its lease; the next one too, and its worker is paused. @returns who works now. */
async function outlastTheLease({ story }: Stage, shop: Shop, order: Order): Promise<Worker[]> {
  story.act(
    'worker B',
    'is stopped (SIGTERM). The gateway was mended, and is slow: 3 s a message, and a lease lasts for 2 s',
  );
  const a = await shop.hire('worker A', SLOW);
  const letters = (await fetch(shop.url + DEAD_PATH).then((response) => response.json())) as DeadLetter[];
  const { queue, id, reason } = letters[0]!;
  await fetch(`${shop.url}${DEAD_PATH}/${queue}/${encodeURIComponent(id)}/redrive`, { method: 'POST' });
  await a.saw('taken');
  const { attempt } = await a.saw('done');
  const told = await shop.messages('+88210000003');
  story.claim('sound: it was found with its reason, put back and done', told === 1 && reason.includes('no route'));
  if (!shop.promises('lease', 'heartbeat', 'fencing')) return [a];
  story.claim('sound: heartbeats kept a job that took longer than its lease', attempt === 1);

  await order('+4930100005');
  await a.saw('taken');
  story.fault('SIGSTOP: worker A is paused with the job in hand, and knows nothing of it');
  process.kill(a.program.pid, 'SIGSTOP');
  const b = await shop.hire('worker B', TERMS);
  await b.saw('done');
  story.fault('SIGCONT: worker A goes on where it was');
  process.kill(a.program.pid, 'SIGCONT');
  await a.saw('lost');
  const once = (await shop.messages('+4930100005')) === 1;
  story.claim('sound: the paused worker had lost the job to another, and the customer was told once', once);
  return [a, b];
}

/** More at once than the queues take. @returns how often somebody was told to come again. */
async function overflow(
  { story, signal }: Stage,
  shop: Shop,
  { front, workers }: { front: string; workers: readonly Worker[] },
): Promise<number> {
  story.fault(
    `the workers are paused, each queue takes ${CAPACITY}, and ${BURST} pay and ${BURST} submit code at once`,
  );
  for (const worker of workers) {
    worker.quiet = true;
    process.kill(worker.program.pid, 'SIGSTOP');
  }
  const first = { taken: 0, refused: 0 };
  let refused = 0;
  const once = <T>(send: (options: { signal: AbortSignal; onFull: () => void }) => Promise<T>) => {
    let isFirst = true;
    const tell = (what: 'taken' | 'refused') => {
      if (isFirst) first[what]++;
      isFirst = false;
    };
    const onFull = () => {
      refused++;
      tell('refused');
    };
    return send({ signal, onFull }).then((result) => {
      tell('taken');
      return result;
    });
  };
  const numbers = Array.from({ length: BURST }, (_, i) => 10 + i);
  const payments = numbers.map((n) => once((o) => pay(front, { phone: `+49302000${n}`, amount: 1_250 }, o)));
  await shop.until('all who pay were answered', () => first.taken + first.refused === BURST);
  story.act('front', `payments: ${first.taken} × 201, ${first.refused} × 503`);
  Object.assign(first, { taken: 0, refused: 0 });
  const submissions = numbers.map(() => once((o) => submit(front, CODE, o)));
  await shop.until('all who submit were answered', () => first.taken + first.refused === BURST);
  story.act('front', `submissions: ${first.taken} × 202, ${first.refused} × 503 with Retry-After`);

  story.act('worker A', 'SIGCONT: it works again');
  for (const { program } of workers) process.kill(program.pid, 'SIGCONT');
  const locations = await Promise.all(submissions);
  await Promise.all(payments);
  const last = await Promise.all(locations.map((location) => Array.fromAsync(follow(location, { signal }))));
  const judged = last.filter((states) => states.at(-1)?.verdict?.output.trim() === '4999950000').length;
  await shop.until('all customers are told', async () => (await shop.untold()) === 0);
  story.act('worker A', `all ${BURST} customers are told, ${judged} submissions are judged`);
  if (shop.promises('bounded')) {
    story.claim(
      `sound: ${refused} times somebody was told to come again, and all were served`,
      refused > 0 && judged === BURST,
    );
  }
  return refused;
}
