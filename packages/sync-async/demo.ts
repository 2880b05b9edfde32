/**
 * `pnpm dev:sync-async`: a report that takes about a second, and somebody else who only pings. Who stands still while it is
 * computed, who goes on computing when nobody waits any more, and what is left of a promise when its process is killed.
 */
import { type Demo, runDemo } from '@patterns/kit/demo';
import { until } from '@patterns/kit/testing/until';
import { openStage } from './demo-stage.ts';
import { CORRUPT_ACCOUNT } from './report.ts';

const WANTED = { account: 7, rows: 1_500_000 };
/** Many seconds, and much less than that is how long the caller waits. */
const LONG = { account: 7, rows: 10_000_000 };
const PATIENCE_MS = 500;

const demo: Demo = {
  actors: ['client', 'server', 'worker'],
  naive: {
    about: 'the textbook version: it blocks, then it "does not block", then it forgets',
    async run(stage) {
      const { story } = stage;
      const office = await openStage(stage, 'naive.ts');
      const first = await office.open();
      const blocking = await office.phone(WANTED, 'blocking');
      const awaited = await office.phone(WANTED, 'awaited');

      story.fault(`the caller hangs up after ${PATIENCE_MS} ms`);
      await office.hangUp(LONG, PATIENCE_MS, 'thread');
      const isBusy = (await office.gauge('pool_busy_threads')) > 0;
      story.act('server', isBusy ? 'a thread computes on: nobody told it to stop' : 'no thread is busy');

      const kept = await office.accept(WANTED);
      story.fault('the server is killed with -9, and started again');
      await first.kill('SIGKILL');
      const second = await office.open();
      const lost = await office.get(`/reports/${kept.id}`);

      await office.accept(WANTED);
      await office.accept({ ...WANTED, account: CORRUPT_ACCOUNT, rows: 10 });
      const { code } = await second.exited;
      story.act('server', `has exited with code ${code}: a rejection that nobody handled`);

      story.measure('naive', {
        'by phone: somebody else waited': office.percent(blocking),
        'async and await: somebody else waited': office.percent(awaited),
        'caller hung up: the thread': isBusy ? 'computes on' : 'stopped',
        'accepted, then kill -9': lost === 404 ? 'lost' : 'kept',
        'one broken ledger': code === 0 ? 'reported' : 'ends the process',
      });
      story.claim('naive: on the event loop, somebody else waited for most of the report', blocking.waited > 0.5);
      story.claim('naive: async and await moved nothing', awaited.waited > 0.5);
      story.claim('naive: the caller hung up, and the thread went on', isBusy);
      story.claim('naive: what was accepted was lost with the process', lost === 404);
      story.claim("naive: one customer's broken ledger ended everybody's reports", code === 1);
    },
  },
  sound: {
    about: 'by phone from a bounded pool of threads, by e-mail from a table that outlives everybody',
    async run(stage) {
      const { story } = stage;
      const office = await openStage(stage, 'server.ts');
      const server = await office.open();
      story.tryIt(`curl -i '${await server.url()}/report?account=7&rows=2000000'`);
      const pooled = await office.phone(WANTED);

      story.fault(`the caller hangs up after ${PATIENCE_MS} ms`);
      await office.hangUp(LONG, PATIENCE_MS);
      await until('the thread has stopped', async () => (await office.gauge('pool_reports{state="running"}')) === 0);
      const stopped = await office.gauge('pool_reports_ended_total{how="stopped"}');
      story.act('server', 'its thread has stopped, and is free for the next');

      story.fault('more callers at once than there are threads and places to wait');
      const refused = await office.burst(LONG, 8);

      const worker = await office.hire();
      const posted = office.email(WANTED, pooled.tookMs);
      const acceptedMs = await posted.accepted;
      await until('the worker has begun', office.isRunning);
      story.fault('server and worker are killed with -9, with the report under way');
      await Promise.all([server.kill('SIGKILL'), worker.kill('SIGKILL')]);
      await Promise.all([office.open(), office.hire()]);
      const byMail = await posted.done;

      story.act('client', 'wants another one, and then does not want it any more');
      const cancelled = await office.cancelled(LONG);

      story.measure('sound', {
        'by phone: somebody else waited': office.percent(pooled),
        'by e-mail: somebody else waited': office.percent(byMail),
        'caller hung up: the thread': stopped === 1 ? 'stopped' : 'computes on',
        'too many callers: told 503': refused,
        'accepted, then kill -9': byMail.report === pooled.report ? 'kept' : 'lost',
        'cancelled: the client is told': cancelled,
      });
      story.claim('sound: in a thread, somebody else was answered meanwhile', pooled.waited < 0.5);
      story.claim(
        'sound: by e-mail likewise, and the answer came long before the report',
        byMail.waited < 0.5 && acceptedMs < byMail.tookMs / 2,
      );
      story.claim('sound: the caller hung up, and the thread stopped', stopped === 1);
      story.claim('sound: who found no place was told so at once', refused > 0);
      story.claim('sound: what was accepted was finished by the next worker', byMail.report === pooled.report);
      story.claim('sound: what was cancelled stays cancelled', cancelled === 'gone');
    },
  },
};

if (import.meta.main) await runDemo(demo);
