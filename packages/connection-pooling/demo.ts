/**
 * `pnpm dev:connection-pooling`: a bank under the five faults that its connections can have: too many at once, a table that
 * a migration has locked, a second check-out inside the first, clients that do not come back, and a server that ends idle
 * connections. First without a pool and with the textbook's, then with a pool that was thought about.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { within } from '@patterns/kit/testing/until';
import {
  endIdle,
  readAtLimit,
  readAtOnce,
  readLockedTable,
  readOnce,
  refuseTransfers,
  report,
  restart,
  transferAtOnce,
} from './demo-scenes.ts';
import { openStage } from './demo-stage.ts';
import { USERS } from './protocol.ts';

const SIZE = 5;
const NAIVE_SIZE = 20;

/** Longer than a client of the sound server ever waits: 2 s for a connection, 1 s for a lock, the rest for a busy machine. */
const PATIENCE_MS = 4_500;
/** For a server that would never answer. */
const IMPATIENCE_MS = 1_000;

const demo: Demo = {
  actors: ['client', 'server', 'PostgreSQL'],
  naive: {
    about: 'a connection for each request; then the textbook pool: max 20, and no other setting',
    async run(stage) {
      const { story } = stage;
      const bank = await openStage(stage);
      const connecting = await bank.serve('naive.ts', Number.POSITIVE_INFINITY);
      await readAtOnce(stage, bank, 'naive', connecting);
      const limited = await readAtLimit(stage, bank, 'naive', connecting);
      story.claim('naive: whom the server did not let in was refused', (limited.outcomes.get('500') ?? 0) > 0);
      await connecting.program.kill();

      let server = await bank.serve('naive-pool.ts', NAIVE_SIZE);
      const locked = await readLockedTable(stage, bank, server, PATIENCE_MS);
      story.claim('naive: with the table locked, nobody got an answer', locked.outcomes.get('no answer') === 30);

      const transfers = await transferAtOnce(stage, bank, server, IMPATIENCE_MS);
      const wedged = await readOnce(stage, server, IMPATIENCE_MS);
      story.claim('naive: with nested check-outs the pool waits for itself, for ever', wedged === 'no answer');

      server = await restart(stage, bank, server);
      await refuseTransfers(stage, server, NAIVE_SIZE);
      const leaked = await readOnce(stage, server, IMPATIENCE_MS);
      story.claim('naive: twenty refused transfers kept their clients, and the pool is empty', leaked === 'no answer');

      server = await restart(stage, bank, server);
      await readOnce(stage, server, PATIENCE_MS);
      await endIdle(stage, bank);
      const { code } = await within('the death of the server', PATIENCE_MS, server.program.exited);
      story.act('server', `the process has died, exit code ${code}: an 'error' event without a listener`);
      story.claim('naive: the end of an idle connection was the end of the process', code !== 0);
      await report(stage, bank, 'naive', NAIVE_SIZE, { locked, transfers, leaked, ended: 'the process died' });
    },
  },
  sound: {
    about: `a pool of ${SIZE}: every wait has an end, every client comes back, and every lost connection is replaced`,
    async run(stage) {
      const { story } = stage;
      const bank = await openStage(stage);
      const server = await bank.serve('server.ts', SIZE, { POOL_SIZE: String(SIZE) });
      story.tryIt(`curl ${server.url}${USERS}`);
      story.tryIt(`curl ${server.url}/metrics`);
      await fetch(`${server.shownUrl}/readyz`).then((response) => response.text());

      const burst = await readAtOnce(stage, bank, 'sound', server);
      const limited = await readAtLimit(stage, bank, 'sound', server);
      const answered = [burst, limited].map(({ outcomes }) => outcomes.get('answered'));
      story.claim(`sound: ${SIZE} connections answered everybody`, answered[0] === 200 && answered[1] === 80);

      const locked = await readLockedTable(stage, bank, server, PATIENCE_MS);
      story.claim('sound: with the table locked, all were refused in time (503)', locked.outcomes.get('503') === 30);
      story.claim(
        'sound: and served again as soon as it was free',
        (await readOnce(stage, server, PATIENCE_MS)) === 'answered',
      );

      const transfers = await transferAtOnce(stage, bank, server, PATIENCE_MS);
      story.claim('sound: a transfer uses one client, and all went through', transfers.outcomes.get('answered') === 50);

      await refuseTransfers(stage, server, NAIVE_SIZE);
      const leaked = await readOnce(stage, server, PATIENCE_MS);
      story.claim('sound: refused transfers gave their clients back', leaked === 'answered');

      const ended = await endIdle(stage, bank);
      const after = await readOnce(stage, server, PATIENCE_MS);
      story.claim(
        `sound: ${ended} idle connections were ended, and the next request was answered`,
        after === 'answered',
      );
      await report(stage, bank, 'sound', SIZE, { locked, transfers, leaked, ended: after });
    },
  },
};

if (import.meta.main) await runDemo(demo);
