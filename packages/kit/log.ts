/**
 * Structured logs: one JSON object a line on stderr, and one line a request.
 * Headers, bodies and query strings are never logged: that is where the secrets are (CWE-532).
 */
import type { RequestHandler } from 'express';
import winston from 'winston';
import { traceOf } from './trace.ts';

export type Log = winston.Logger;

/** Makes the log of one process. LOG_LEVEL (default `info`) says how much of it is written. */
export function createLog(service: string): Log {
  return winston.createLogger({
    level: process.env.LOG_LEVEL ?? 'info',
    defaultMeta: { service },
    format: winston.format.combine(winston.format.timestamp(), winston.format.json({ replacer: showErrors })),
    transports: [new winston.transports.Console({ stderrLevels: Object.keys(winston.config.npm.levels) })],
  });
}

/** An Error has no enumerable fields: JSON would show `{}`. */
function showErrors(_key: string, value: unknown): unknown {
  if (!(value instanceof Error)) return value;
  return { ...value, message: value.message, stack: value.stack, cause: value.cause };
}

/** Logs each request once, when it is over: answered, or given up by the client (`aborted`). */
export function logRequests(log: Log): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    const { method, path } = request;
    // `close` of the response, not of the request: a request closes as soon as its body is read.
    response.once('close', () => {
      log.info('request', {
        method,
        path,
        status: response.statusCode,
        durationMs: Math.round((performance.now() - startedAt) * 10) / 10,
        aborted: !response.writableEnded,
        traceId: traceOf(response).traceId,
      });
    });
    next();
  };
}
