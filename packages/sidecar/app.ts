/**
 * The app: business logic and nothing else. No log, no limit, no token, no cache, no idea that something stands in front of it.
 * It listens on a Unix socket, or on loopback, so that nothing can come past the sidecar. It is never changed.
 */
import { rmSync } from 'node:fs';
import express from 'express';

const app = express();
let asked = 0;

app.get('/api/data', (_req, res) => {
  res.json({ data: 'some important data' });
});

app.get('/menu', (req, res) => {
  const language = req.acceptsLanguages('en', 'de') || 'en';
  res.set({ 'Cache-Control': 'max-age=60', Vary: 'Accept-Language' });
  res.json({ dish: language === 'de' ? 'Nudelsuppe' : 'noodle soup', asked: ++asked });
});

app.post('/orders', express.json(), (req, res) => {
  res.status(201).json({ ordered: req.body });
});

/** What the app sees of a request. */
app.all('/echo', async (req, res) => {
  let bytes = 0;
  for await (const chunk of req) bytes += chunk.length;
  res.json({ method: req.method, url: req.url, headers: req.headers, bytes });
});

app.get('/slow', (_req, res) => {
  setTimeout(() => res.json({ data: 'at last' }), 1_000);
});

app.get('/hang', () => {});

app.get('/events', (_req, res) => {
  res.set({ 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-cache' });
  let n = 0;
  const timer = setInterval(() => res.write(`data: ${++n}\n\n`), 200);
  res.on('close', () => clearInterval(timer));
});

const { APP_SOCKET: socket, APP_PORT: port = 0 } = process.env;
if (socket) rmSync(socket, { force: true }); // what an app that was killed has left behind
const server = socket ? app.listen(socket) : app.listen(Number(port), '127.0.0.1');
server.on('listening', () => {
  const address = server.address();
  console.log(
    `listening on ${typeof address === 'string' ? `unix://${address}` : `http://127.0.0.1:${address?.port}`}`,
  );
});

for (const signal of ['SIGTERM', 'SIGINT', 'disconnect']) {
  process.once(signal, () => {
    server.close(() => process.exit());
    server.closeIdleConnections();
    setTimeout(() => process.exit(), 5_000).unref();
  });
}
process.channel?.unref();
