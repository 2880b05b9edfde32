/** What whoever runs it sees: health, metrics, a log that does not get in the way, and an end in the right order. */
import { Writable } from 'node:stream';
import { until, within } from '@patterns/kit/testing/until';
import { expect } from 'vitest';
import type { Clauses } from './contract.ts';
import { sendJson } from './contract-app.ts';
import { ask, rawClient } from './contract-client.ts';

export const operation: Clauses = {
  'live and ready': [
    'alive is who runs, whatever the app does; ready is who could serve: the app listens, and the breaker is not open',
    async (rig) => {
      const { app, url, sidecar } = await rig.start((request) => void request.socket.destroy(), {
        breaker: { maxFailures: 2, openMs: 60_000 },
        retry: { reserve: 0 },
      });
      const health = async () => [
        (await ask(sidecar.adminUrl, '/live')).status,
        (await ask(sidecar.adminUrl, '/ready')).status,
      ];
      expect(await health()).toEqual([200, 200]);
      await ask(url);
      await ask(url);
      expect(await health()).toEqual([200, 503]);
      const away = await rig.startBefore('unix:/nowhere/app.sock');
      expect((await ask(away.sidecar.adminUrl, '/live')).status).toBe(200);
      expect((await ask(away.sidecar.adminUrl, '/ready')).status).toBe(503);
      expect(app.requests).toHaveLength(2); // asking for its health has asked it nothing
      expect((await ask(url, '/metrics')).status).not.toBe(200); // that is not for clients
    },
  ],
  drain: [
    'told to stop, it is no longer ready and accepts nobody, but finishes what is under way, and only then is gone',
    async (rig) => {
      let finish!: () => void;
      const { app, url, sidecar, accessLog } = await rig.start((_request, response) => {
        finish = () => sendJson(response, 'done');
      });
      const answer = ask(url);
      await until('it is at the app', () => app.requests.length === 1);
      const closed = sidecar.close();
      await expect(ask(url)).rejects.toThrow(/ECONNREFUSED/);
      expect((await ask(sidecar.adminUrl, '/live')).status).toBe(200);
      expect((await ask(sidecar.adminUrl, '/ready')).status).toBe(503);
      finish();
      expect(await answer).toMatchObject({ status: 200, body: '"done"', headers: { connection: 'close' } });
      await within('the end', 5_000, closed);
      expect(accessLog()).toMatchObject([{ status: 200, aborted: false }]); // its line is written
      await until('the app is left', () => app.open.size === 0);
      await expect(ask(sidecar.adminUrl, '/live')).rejects.toThrow(/ECONNREFUSED/);
    },
  ],
  'drain with a deadline': [
    'a request that does not finish is cut off when the grace is over, at the client and at the app',
    async (rig) => {
      const { app, url, sidecar } = await rig.start(() => {}, { graceMs: 300 });
      using client = await rawClient(url);
      client.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n');
      await until('it is at the app', () => app.requests.length === 1);
      await within('the end', 5_000, sidecar.close());
      await client.closed();
      await until('it is gone at the app', () => app.open.size === 0);
    },
  ],
  metrics: [
    "requests by status, failures by kind, the breaker's state, and time split into the app's and our own",
    async (rig) => {
      const { url, sidecar } = await rig.start(
        (request, response) => (request.url === '/die' ? request.socket.destroy() : sendJson(response, 'ok')),
        { retry: { reserve: 0 } },
      );
      await ask(url);
      await ask(url, '/die');
      const read = async () => (await ask(sidecar.adminUrl, '/metrics')).body;
      await until('both are counted', async () => /requests_total\{status="5xx"\} 1/.test(await read()));
      const text = await read();
      for (const line of [
        'sidecar_requests_total{status="2xx"} 1',
        'sidecar_upstream_failures_total{error="connection_terminated"} 1',
        'sidecar_breaker_state{state="closed"} 1',
        'sidecar_breaker_state{state="open"} 0',
        'sidecar_upstream_seconds_count 1',
      ])
        expect(text).toContain(line);
      expect(text).toMatch(/sidecar_overhead_seconds_count [12]\b/);
    },
  ],
  'access log': [
    'one line for each request when it is over, with what it cost and whether the client stayed',
    async (rig) => {
      const { app, url, accessLog } = await rig.start((request, response) => {
        if (request.url !== '/hang') sendJson(response, 'ok');
      });
      await ask(url, '/a?page=2&secret=1', { headers: { 'User-Agent': 'tests/1' } });
      await until('its line', () => accessLog().length === 1);
      const [line] = accessLog();
      expect(line).toMatchObject({ method: 'GET', path: '/a', status: 200, client: '127.0.0.1', aborted: false });
      expect(line).toMatchObject({ 'user-agent': 'tests/1', query: { page: '2', others: 1 }, attempts: 1 });
      expect(line!.traceId).toBe(/00-(\w+)-/.exec(app.head().fields.get('traceparent')!)?.[1]);
      expect(line!.durationMs).toBeGreaterThanOrEqual(line!.upstreamMs as number);
      using client = await rawClient(url);
      client.write('GET /hang HTTP/1.1\r\nHost: x\r\n\r\n');
      await until('it is at the app', () => app.requests.length === 2);
      client.socket.destroy();
      await until('its line', () => accessLog().length === 2);
      expect(accessLog()[1]).toMatchObject({ path: '/hang', aborted: true });
      expect(accessLog()[1]).not.toHaveProperty('status');
    },
  ],
  'a log that is full': [
    'does not hold up requests: lines are dropped, and counted',
    async (rig) => {
      const stuck = new Writable({ write() {} }); // takes one piece, and never comes back for another
      const { url, sidecar } = await rig.start(undefined, { accessLog: { output: stuck, maxPendingBytes: 1_000 } });
      for (let n = 0; n < 12; n++) expect((await ask(url)).status).toBe(200);
      await until('some are dropped', async () =>
        /access_log_dropped_total [1-9]/.test((await ask(sidecar.adminUrl, '/metrics')).body),
      );
      expect(stuck.writableLength).toBeLessThan(2_000);
      await within('the end', 8_000, sidecar.close());
    },
  ],
};
