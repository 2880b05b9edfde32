/**
 * The same report as the introductions show it, and as it then grows, runnable beside the sound one:
 *  - `GET /report?how=blocking` computes on the event loop: meanwhile nobody else is answered;
 *  - `how=awaited` puts `async` and `await` around it: the computation is where it was, and so is everybody else;
 *  - `how=thread` really moves it away, and then nothing stops it when the caller has gone, and nothing bounds the queue;
 *  - `POST /reports` says "accepted" of something that it has only in memory: a restart loses it, and nobody is told;
 *  - what it does after that answer has nobody who handles its failure, and an unhandled rejection ends the process:
 *    one customer's broken ledger ends everybody's reports;
 *  - it computes whatever it is asked for: a million million rows are one line of curl.
 */
import { randomUUID } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { envPort } from '@patterns/kit/env';
import express from 'express';
import { Piscina } from 'piscina';
import { watchEventLoop } from './metrics.ts';
import { PING_PATH, REPORT_PATH, REPORTS_PATH, type Report, type ReportRequest } from './protocol.ts';
import { computeReport } from './report.ts';

export async function startNaiveServer(port = 0): Promise<string> {
  const app = express();
  const { registry } = watchEventLoop();
  const pool = new Piscina({ filename: fileURLToPath(new URL('report-thread.ts', import.meta.url)), maxThreads: 2 });
  const inThread = (request: ReportRequest): Promise<Report> =>
    pool.run({ request, stop: new Int32Array(new SharedArrayBuffer(4)) });

  /** The textbook's e-mail: "this doesn't block". */
  async function processRequest(request: ReportRequest): Promise<Report | undefined> {
    return computeReport(request);
  }

  app.get(REPORT_PATH, async (req, res) => {
    const request = { account: Number(req.query.account), rows: Number(req.query.rows) };
    if (req.query.how === 'thread') res.json(await inThread(request));
    else if (req.query.how === 'awaited') res.json(await processRequest(request));
    else res.json(computeReport(request));
  });

  const reports = new Map<string, Report | undefined>();
  app.post(REPORTS_PATH, express.json(), (req, res) => {
    const id = randomUUID();
    reports.set(id, undefined);
    void inThread(req.body).then((report) => reports.set(id, report));
    res.status(202).json({ id });
  });
  app.get(`${REPORTS_PATH}/:id`, (req, res) => {
    if (!reports.has(req.params.id)) res.sendStatus(404);
    else res.json({ report: reports.get(req.params.id) ?? 'not yet' });
  });

  app.get(PING_PATH, (_req, res) => res.json({ pong: true }));
  app.get('/metrics', async (_req, res) => {
    res
      .type(registry.contentType)
      .send(`${await registry.metrics()}\npool_busy_threads ${pool.threads.length - idle()}\n`);
  });
  const idle = () => pool.idleThreads;

  return new Promise((resolve) => {
    const server = app.listen(port, '127.0.0.1', () => {
      resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    });
  });
}

if (import.meta.main) {
  process.once('disconnect', () => process.exit()); // whoever started us is gone
  process.channel?.unref();
  const url = await startNaiveServer(envPort());
  console.log(`listening on ${url}`);
  console.log(`in another terminal: curl -i '${url}${REPORT_PATH}?how=blocking&account=7&rows=2000000'`);
}
