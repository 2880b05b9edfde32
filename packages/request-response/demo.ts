/**
 * `pnpm dev:request-response`: an exchange, and three that go wrong. An answer that is lost after the order was committed; a
 * kitchen that is slower than the client's patience; a server that is stopped with an order in the kitchen.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { openRestaurant } from './demo-stage.ts';
import { MENU_PATH } from './protocol.ts';

/** Slower than the sound client's deadline. */
const KITCHEN_MS = 2_000;
const DEADLINE_MS = 1_000;

const SLOW = `from now on the kitchen takes ${KITCHEN_MS / 1_000} s for an order`;
const STOPPED = 'the server is stopped (SIGTERM) with an order in the kitchen';

const demo: Demo = {
  actors: ['client', 'server', 'kitchen'],
  naive: {
    about: 'the textbook version: no deadline, a retry for everything, and a server that falls over when it is stopped',
    async run(stage) {
      const { story } = stage;
      const restaurant = await openRestaurant(stage, { server: 'naive.ts', client: 'naive.ts' });
      await restaurant.open(0);
      await restaurant.visit();
      const cooked = await restaurant.loseTheAnswer();
      story.act('kitchen', `cooked ${cooked} times for one order`);

      story.fault(SLOW);
      const { server } = await restaurant.open(KITCHEN_MS);
      const patient = await restaurant.ending(restaurant.order());
      story.act('client', patient);

      const before = await restaurant.kitchen.meals();
      const inFlight = restaurant.order();
      await until('it is in the kitchen', restaurant.kitchen.cooking);
      story.fault(STOPPED);
      await server.kill('SIGTERM');
      const interrupted = await restaurant.ending(inFlight);
      story.act('client', interrupted);
      await until('the kitchen is done', async () => (await restaurant.kitchen.cooking()) === 0);
      const unheard = (await restaurant.kitchen.meals()) - before;
      story.act('kitchen', 'cooked it all the same: nobody told it to stop');

      story.measure('naive', {
        'answer lost: meals for one order': cooked,
        'slow kitchen: the client waited': waited(patient),
        'stopped: the order in flight': outcome(interrupted),
        'requests in all': restaurant.requests(),
      });
      story.claim(`naive: the answer was lost, and the kitchen cooked ${cooked} times`, cooked === 2);
      story.claim(
        'naive: it waited for as long as the kitchen took',
        Number.parseInt(waited(patient), 10) >= KITCHEN_MS,
      );
      story.claim(
        'naive: SIGTERM, and the client was told that its order failed, which was cooked',
        outcome(interrupted) === 'failed' && unheard === 1,
      );
    },
  },
  sound: {
    about: 'a key on every order, a deadline on every call, and a server that finishes what it has begun',
    async run(stage) {
      const { story } = stage;
      const restaurant = await openRestaurant(stage, { server: 'server.ts', client: 'client.ts' });
      await restaurant.open(0);
      story.tryIt(`curl -i ${restaurant.url}${MENU_PATH}`);
      await restaurant.visit();
      const cooked = await restaurant.loseTheAnswer();
      story.act('kitchen', 'cooked once for one order');

      story.fault(SLOW);
      const { server, direct } = await restaurant.open(KITCHEN_MS);
      const before = await restaurant.kitchen.meals();
      const impatient = await restaurant.ending(restaurant.order({ DEADLINE_MS: `${DEADLINE_MS}` }));
      story.act('client', impatient);
      await until('the kitchen has stopped', async () => (await restaurant.kitchen.cooking()) === 0);
      const abandoned = (await restaurant.kitchen.meals()) - before;
      story.act('kitchen', 'has stopped as well: the statement was cancelled');

      const inFlight = restaurant.order();
      await until('it is in the kitchen', restaurant.kitchen.cooking);
      story.fault(STOPPED);
      const stopped = server.kill('SIGTERM');
      await until('nobody listens any more', () =>
        fetch(direct).then(
          () => false,
          () => true,
        ),
      );
      const next = await restaurant.ending(restaurant.order({}, direct));
      story.act('client', `the next one: ${next}`);
      const finished = await restaurant.ending(inFlight);
      story.act('client', `the one in flight: ${finished}`);
      const { code } = await stopped;

      story.measure('sound', {
        'answer lost: meals for one order': cooked,
        'slow kitchen: the client waited': waited(impatient),
        'stopped: the order in flight': outcome(finished),
        'requests in all': restaurant.requests(),
      });
      story.claim('sound: the answer was lost and asked for again, and the kitchen cooked once', cooked === 1);
      story.claim('sound: the client gave up at its deadline', impatient.includes(': timeout: '));
      story.claim('sound: and so did the kitchen, in the middle of its work', abandoned === 0);
      story.claim(
        'sound: SIGTERM, and the order in flight was answered',
        outcome(finished) === 'answered' && code === 0,
      );
      story.claim('sound: the next one was refused by nobody listening', next.includes(': network: '));
    },
  },
};

const waited = (line: string) => /\d+ ms/.exec(line)?.[0] ?? '-';
const outcome = (line: string) => (line.startsWith('ordered') ? 'answered' : 'failed');

if (import.meta.main) await runDemo(demo);
