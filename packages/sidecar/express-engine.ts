/**
 * The engine that everybody knows: Express, winston, express-rate-limit, express-http-proxy. Its defaults are those of a demo, so most of
 * this file takes them back: the body is not parsed (1 MB at most, and a chunked one goes out with both framing headers), the
 * headers are ours and not a copy, connections to the app are kept open, and an answer that breaks off is not left hanging.
 */
import type { IncomingMessage } from 'node:http';
import express from 'express';
import proxy from 'express-http-proxy';
import { rateLimit } from 'express-rate-limit';
import winston from 'winston';
import { formatLine } from './access-log.ts';
import { type AppAgent, openAgent } from './app-agent.ts';
import type { Engine, EngineOptions, OnHead, Outgoing, Timeouts } from './engine.ts';
import { type Exchange, exchangeOf, type Power, refuse } from './exchange.ts';
import { asUpstreamError, UpstreamError } from './protocol.ts';
import { limitKey, tooManyRequests } from './rate-limit.ts';

export function createExpressEngine({ upstream, timeouts, log }: EngineOptions): Engine {
  const agent = openAgent(timeouts.connectMs);
  const target = 'socketPath' in upstream ? { socketPath: upstream.socketPath } : upstream;
  return {
    listener(powers) {
      const app = express().disable('x-powered-by').disable('etag');
      app.use(...powers);
      app.use(((error, _request, response, _next) => refuse(log, response, error)) as express.ErrorRequestHandler);
      return app;
    },

    logger(output) {
      const logger = winston.createLogger({
        format: winston.format.printf(({ level, message, ...fields }) => formatLine({ level, message, ...fields })),
        transports: [new winston.transports.Stream({ stream: output })],
        exitOnError: false,
      });
      return (line) => void logger.info('request', line);
    },

    limiter: ({ max, windowMs, counters }) =>
      rateLimit({
        limit: max,
        windowMs,
        store: counters,
        keyGenerator: (_request, response) => limitKey(exchangeOf(response).client),
        identifier: 'per-client',
        standardHeaders: 'draft-8',
        legacyHeaders: false,
        passOnStoreError: true, // whether to count or to let pass without Redis has been decided by the store
        logger: { warn: () => {}, error: () => {} }, // and said by it
        handler: (_request, _response, next) => next(tooManyRequests()),
      }) as unknown as Power, // it wants Express's own request and response: it will get them

    send: (exchange, outgoing, onHead) => sendByProxy({ exchange, outgoing, onHead, agent, target, timeouts }),

    async [Symbol.asyncDispose]() {
      agent.destroy();
    },
  };
}

interface Sending {
  exchange: Exchange;
  outgoing: Outgoing;
  onHead: OnHead;
  agent: AppAgent;
  target: { socketPath: string } | { host: string; port: number };
  timeouts: Timeouts;
}

// #region send
function sendByProxy({ exchange, outgoing, onHead, agent, target, timeouts }: Sending): Promise<void> {
  const { request, response } = exchange;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const cutting = new AbortController();
  const end = (reason: Error) => {
    reject(reason); // first, so that it counts and not the AbortError that follows
    cutting.abort();
  };
  exchange.abort = end;
  const silence = setTimeout(() => end(new UpstreamError('http_response_timeout')), timeouts.headersMs);
  // The app's time begins when it has all of the question.
  // To listen is to start the flow, and the pipe comes some promises later: till then it must not.
  if (outgoing.hasBody) request.on('data', () => silence.refresh()).pause();

  // express-http-proxy streams only as long as it is given nothing to do with the answer. But it pipes it into ours, and a stream
  // says when something is piped into it, before the first byte: that is where the answer can be seen.
  const onPipe = (answer: IncomingMessage) => {
    clearTimeout(silence);
    const { headers, onChunk } = onHead(answer.statusCode ?? 502, answer.rawHeaders);
    response.writeHead(answer.statusCode ?? 502, headers);
    response.flushHeaders(); // a stream may have nothing to say yet
    const idle = setTimeout(() => {
      if (response.writableNeedDrain)
        idle.refresh(); // it is the client who is slow
      else end(new UpstreamError('http_response_incomplete'));
    }, timeouts.idleMs);
    answer.on('data', (chunk: Buffer) => {
      idle.refresh();
      onChunk?.(chunk);
    });
    answer.on('end', resolve);
    answer.on('error', () => {}); // `close` follows
    answer.on('close', () => {
      clearTimeout(idle);
      if (!answer.complete) reject(new UpstreamError('http_response_incomplete'));
    });
  };
  response.once('pipe', onPipe);
  (response as express.Response).set = () => response as express.Response; // it copies all headers, hop-by-hop ones too: to nowhere

  const ask = proxy('http://app', {
    parseReqBody: false,
    proxyReqPathResolver: () => outgoing.path,
    proxyReqOptDecorator: () => {
      const { method, headers } = outgoing;
      return {
        ...target,
        method,
        headers: headers as unknown as Record<string, string>,
        agent,
        signal: cutting.signal,
      };
    },
    proxyErrorHandler: (error: Error) => reject(asUpstreamError(error)),
  });
  ask(request as express.Request, response as express.Response, reject);
  return promise.finally(() => {
    clearTimeout(silence);
    response.off('pipe', onPipe);
  });
}
// #endregion
