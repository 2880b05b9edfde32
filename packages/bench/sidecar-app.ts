/**
 * The app of the sidecar benchmark: as cheap as an app can be, so that it does not hide what a sidecar costs. It listens twice:
 * on a Unix socket, where only a sidecar finds it, and on loopback, where it is asked directly.
 */
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { answer } from './processes.ts';

const BODY = JSON.stringify({ data: 'some important data' });
const HEAD = ['Content-Type', 'application/json; charset=utf-8', 'Content-Length', String(Buffer.byteLength(BODY))];

const handle: RequestListener = (_request, response) => void response.writeHead(200, HEAD).end(BODY);

const { url } = await listen(createServer(handle));
const onSocket = createServer(handle).listen(process.env.APP_SOCKET);
await once(onSocket, 'listening');

const handlers = { url: () => url };
export type App = typeof handlers;
answer(handlers);
