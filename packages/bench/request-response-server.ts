/**
 * The server process of the request-response benchmark: `node request-response-server.ts <contestant>`. Every one of them
 * answers `GET /menu` with the same JSON; the peers are given it by MENU, and have no database to look after.
 */
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { JSON_TYPE, MENU_PATH } from '@patterns/request-response/protocol';
import { startServer } from '@patterns/request-response/server';
import express from 'express';
import { answer } from './processes.ts';

export type Contestant = 'ours' | 'Express res.json' | 'Express without etag and x-powered-by' | 'bare node:http';

const menu = JSON.parse(process.env.MENU ?? 'null') as unknown;

const contestants: Record<Contestant, () => Promise<{ url: string }>> = {
  ours: () => startServer({ databaseUrl: process.env.DATABASE_URL! }),

  'Express res.json'() {
    const app = express();
    app.get(MENU_PATH, (_request, response) => void response.json(menu));
    return listen(createServer(app));
  },

  'Express without etag and x-powered-by'() {
    const app = express().disable('etag').disable('x-powered-by');
    app.get(MENU_PATH, (_request, response) => void response.json(menu));
    return listen(createServer(app));
  },

  'bare node:http'() {
    const server = createServer((_request, response) => {
      const body = JSON.stringify(menu);
      response.writeHead(200, { 'Content-Type': JSON_TYPE, 'Content-Length': Buffer.byteLength(body) }).end(body);
    });
    return listen(server);
  },
};

const { url } = await contestants[process.argv[2] as Contestant]();

const handlers = { url: () => url + MENU_PATH };
export type MenuServer = typeof handlers;
answer(handlers);
