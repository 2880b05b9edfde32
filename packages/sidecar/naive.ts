/**
 * The textbook's sidecar, runnable beside the sound one, with its app. It works, and:
 *  - the limiter is registered after the proxy, which answers everything: it never runs;
 *  - the log has every header, so it has every token and every session cookie of every user;
 *  - the app listens on all interfaces: whoever knows its port goes past the sidecar;
 *  - bodies are parsed on the way: 1 MB at most, and a chunked one is sent on with both Content-Length and Transfer-Encoding,
 *    which the app refuses as it should (or, where it does not, is how requests are smuggled);
 *  - X-Forwarded-For is the client's own word, and so are the headers that Connection names;
 *  - nothing has an end: an app that hangs has its sidecar hang, with all who ask.
 */

import { createServer } from 'node:http';
import { networkInterfaces } from 'node:os';
import { envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express from 'express';
import proxy from 'express-http-proxy';
import { rateLimit } from 'express-rate-limit';
import winston from 'winston';

/** The app, with a second route that shows what it is told, and a third that takes an order. */
export function startNaiveApp(port?: number): Promise<Listening> {
  const app = express();
  app.get('/api/data', (_req, res) => {
    // Just focus on business logic
    res.json({ data: 'some important data' });
  });
  app.get('/echo', (req, res) => {
    res.json(req.headers);
  });
  app.post('/orders', express.json(), (req, res) => {
    res.status(201).json({ ordered: req.body });
  });
  app.get('/hang', () => {});
  return listen(createServer(app), { port, host: '0.0.0.0', graceMs: 500 }); // as `app.listen(3000)` does
}

export function startNaiveSidecar(
  upstream: string,
  port?: number,
  transport: winston.transport = new winston.transports.Console(),
): Promise<Listening> {
  const sidecar = express();
  const logger = winston.createLogger({
    level: 'info',
    format: winston.format.json(),
    transports: [transport],
  });

  // Proxy all requests, but log them first
  sidecar.use((req, _res, next) => {
    logger.info({ timestamp: new Date(), method: req.method, path: req.path, headers: req.headers } as never);
    next();
  });

  // Forward requests to main application
  sidecar.use(proxy(upstream));

  // And for example, you could add rate limiting to your application
  const limiter = rateLimit({
    windowMs: 15 * 60 * 1000, // 15 minutes
    max: 100, // limit each IP to 100 requests per windowMs
  });
  sidecar.use(limiter);

  return listen(createServer(sidecar), { port, graceMs: 500 });
}

/** Where others on the network find this machine; loopback when it is on none. */
export function networkAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? []);
  return addresses.find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1';
}

if (import.meta.main) {
  await main(async (stack) => {
    const app = stack.use(await startNaiveApp());
    const { port } = new URL(app.url);
    const sidecar = stack.use(await startNaiveSidecar(`http://127.0.0.1:${port}`, envPort()));
    console.log(`listening on ${sidecar.url}`);
    console.log(
      `in another terminal: curl -H 'Authorization: Bearer secret' ${sidecar.url}/api/data   and look at the log here`,
    );
    console.log(`   past the sidecar: curl http://${networkAddress()}:${port}/api/data`);
  });
}
