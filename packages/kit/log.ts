/**
 * Structured logs: one JSON object a line on stderr, and one line a request.
 * Headers, bodies and query strings are never logged: that is where the secrets are (CWE-532).
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { constants, type ServerHttp2Stream } from 'node:http2';
import winston from 'winston';
import { ConfigError } from './env.ts';
import { traceOf } from './trace.ts';

export type Log = winston.Logger;

const LEVELS = Object.keys(winston.config.npm.levels);

/**
 * Makes the log of one process. LOG_LEVEL (default `info`) says how much of it is written.
 * @throws {ConfigError} when LOG_LEVEL is no level: winston would write nothing at all.
 */
export function createLog(service: string): Log {
  const level = process.env.LOG_LEVEL || 'info';
  if (!LEVELS.includes(level)) throw new ConfigError(`LOG_LEVEL=${level}: expected one of ${LEVELS.join(', ')}`);
  return winston.createLogger({
    level,
    defaultMeta: { service },
    format: winston.format.combine(winston.format.timestamp(), winston.format.json({ replacer: showErrors })),
    transports: [new winston.transports.Console({ stderrLevels: LEVELS })],
  });
}

/** An Error has no enumerable fields: JSON would show `{}`. */
function showErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { ...(value as object), message: value.message, stack: value.stack, cause: value.cause };
}

/** Logs each request once, when it is over: answered, or cut short, by the client as a rule (`aborted`). Middleware for Express, or called as it is. */
export function logRequests(log: Log) {
  return (request: IncomingMessage, response: ServerResponse, next: () => void): void => {
    // winston formats a line before its transports drop it: as costly as writing it.
    if (!log.isInfoEnabled()) {
      next();
      return;
    }
    const startedAt = performance.now();
    const { method } = request;
    const path = request.url?.split('?', 1)[0]; // now: Express shortens the URL for the routers inside
    // `close` of the response, not of the request: a request closes as soon as its body is read.
    response.once('close', () => {
      log.info('request', {
        method,
        path,
        status: response.statusCode,
        durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
        aborted: isCutShort(response),
        traceId: traceOf(response).traceId,
      });
    });
    next();
  };
}

function isCutShort(response: ServerResponse & { stream?: ServerHttp2Stream }): boolean {
  // Over HTTP/2 Node calls a response finished as soon as its stream is closed, be it by a reset.
  if (response.stream) return response.stream.aborted || response.stream.rstCode !== constants.NGHTTP2_NO_ERROR;
  // Not `writableEnded`: a big answer has ended long before the client has it.
  return !response.writableFinished;
}
