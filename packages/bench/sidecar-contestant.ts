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
import { rateLimit } from 'express-rate-limit';
import { Redis } from 'ioredis';
import { RedisStore } from 'rate-limit-redis';
import { Pool } from 'undici';
import winston from 'winston';
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

  /** The same two powers by the libraries that one would take, none of them told more than it has to be. */
  'express-http-proxy as it comes, log and limit'() {
    const output = createWriteStream('/dev/null');
    const log = winston.createLogger({
      format: winston.format.json(),
      transports: [new winston.transports.Stream({ stream: output })],
    });
    const redis = new Redis(process.env.REDIS_URL!);
    const sendCommand = (command: string, ...args: string[]) => redis.call(command, ...args) as Promise<number>;
    const store = new RedisStore({ prefix: process.env.REDIS_PREFIX!, sendCommand });
    const app = express();
    app.use((request, response, next) => {
      const { method, path, ip } = request;
      const startedAt = performance.now();
      response.once('close', () => {
        log.info('request', { method, path, ip, status: response.statusCode, ms: performance.now() - startedAt });
      });
      next();
    });
    app.use(
      rateLimit({ limit: 999_999_999, windowMs: 900_000, store, standardHeaders: 'draft-8', legacyHeaders: false }),
    );
    app.use(proxy(process.env.APP_URL!));
    return listen(createServer(app));
  },

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
