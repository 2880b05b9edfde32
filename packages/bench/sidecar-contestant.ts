/**
 * The sidecar process of the sidecar benchmark: `node sidecar-contestant.ts <contestant>`, in front of APP_SOCKET (or APP_URL).
 * The log goes to /dev/null: what is measured is making its lines, and not somebody's disk.
 */
import { createWriteStream } from 'node:fs';
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { type SidecarOptions, startSidecar } from '@patterns/sidecar/sidecar';
import express from 'express';
import proxy from 'express-http-proxy';
import { Pool } from 'undici';
import { answer } from './processes.ts';

const upstream = `unix:${process.env.APP_SOCKET}`;

/** Logging and rate limit, as both engines have them. A limit that nobody reaches, and whose figures keep their length. */
const WITH_POWERS = (): Partial<SidecarOptions> => ({
  accessLog: { output: createWriteStream('/dev/null') },
  limit: { max: 999_999_999, windowMs: 900_000, prefix: process.env.REDIS_PREFIX! },
  redisUrl: process.env.REDIS_URL,
  cache: false,
});

export const contestants = {
  'express engine, log and limit': () => startSidecar({ ...WITH_POWERS(), upstream, engine: 'express' }),

  'undici engine, log and limit': () => startSidecar({ ...WITH_POWERS(), upstream, engine: 'undici' }),

  'undici engine, no log, no limit': () =>
    startSidecar({ upstream, engine: 'undici', accessLog: false, limit: false, cache: false }),

  /** Over loopback, because that is all that it does of itself; and it opens a connection for each request. */
  'express-http-proxy, as it comes': () => listen(createServer(express().use(proxy(process.env.APP_URL!)))),

  /** What there is at least to do: no power, no header touched but Connection, nothing survives an error. */
  'bare forwarding with undici'() {
    const pool = new Pool('http://app', { socketPath: process.env.APP_SOCKET! });
    const server = createServer((request, response) => {
      const { method = 'GET', url: path = '/', rawHeaders } = request;
      const headers = rawHeaders.filter((_, i) => rawHeaders[i & ~1]!.toLowerCase() !== 'connection');
      const onResponseData = (_controller: unknown, chunk: Buffer) => void response.write(chunk);
      pool.dispatch(
        { method, path, headers },
        {
          onRequestStart() {},
          onResponseStart(_controller, status, fields) {
            const { connection: _, 'keep-alive': __, ...rest } = fields;
            response.writeHead(status, rest);
          },
          onResponseData,
          onResponseEnd: () => void response.end(),
          onResponseError: () => void response.destroy(),
        },
      );
    });
    return listen(server);
  },
} as const satisfies Record<string, () => Promise<{ url: string }>>;

export type Contestant = keyof typeof contestants;

if (import.meta.main) {
  const { url } = await contestants[process.argv[2] as Contestant]();
  answer({ url: () => url });
}

export type Measured = { url: () => string };
