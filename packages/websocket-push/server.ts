/**
 * A chat room, with notices, over WebSockets: a connection that stays open and on which both sides talk.
 *
 * HTTP's part ends with the handshake, and with it what HTTP brought along: origins, statuses, retries, limits. So here they
 * are ours to write, beside the core: who is let in (handshake.ts), who is still there (heartbeat.ts), who reads too slowly
 * (outbox.ts). The rest is the feed's: it has the messages, and any server resumes from any cursor. A connection ends when
 * either side closes it, the peer falls silent, reads too slowly or breaks the rules, or the server stops.
 */
import { createServer, type IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Feed } from '@patterns/feed/feed';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { createLog, type Log, logRequests } from '@patterns/kit/log';
import { main } from '@patterns/kit/main';
import { HttpProblem } from '@patterns/kit/problem';
import { type WebSocket, WebSocketServer } from 'ws';
import { Audience } from './audience.ts';
import { Connections } from './connections.ts';
import { Conversation } from './conversation.ts';
import { admit, type Guest, refuse } from './handshake.ts';
import { startHeartbeat } from './heartbeat.ts';
import { createMetrics } from './metrics.ts';
import { type ChatData, CLOSE, PROTOCOL } from './protocol.ts';
import { openRoom } from './room.ts';
import { createRoutes } from './routes.ts';
import { type ExpiringStore, MemoryStore } from './store.ts';
import { Tickets } from './tickets.ts';

export interface ServerOptions {
  feed: Feed<ChatData>;
  /** Sessions and tickets: servers that share a feed share a store. */
  store?: ExpiringStore;
  port?: number;
  log?: Log;
  /** Origins whose pages may connect. Without any: pages that came from this very host. */
  origins?: readonly string[];
  /** Half the shortest idle timeout of common proxies (30 s and more). A peer that has gone is found in twice that. */
  pingMs?: number;
  sessionMs?: number;
  ticketMs?: number;
  /** Connections in all; beyond, 503. Each costs some 14 KB and a file descriptor. */
  maxConnections?: number;
  /** Connections of one user, at this server: a few devices with a few tabs; beyond, 429. */
  maxPerUser?: number;
  /** The longest message is 2,000 characters. `ws` would allow 100 MiB. */
  maxMessageBytes?: number;
  /** Live events that may wait for a slow reader; then it is cut off, and can resume. */
  maxPending?: number;
  /** Bytes that may wait for a slow reader: what `maxPending` does not count, such as acknowledgements. */
  maxBufferedBytes?: number;
  graceMs?: number;
}

/** Starts a server of the room on `feed`. Any number of servers may share one feed and one store. */
export async function startServer({
  feed,
  store = new MemoryStore(),
  port,
  log = createLog('websocket-push'),
  origins = [],
  pingMs = 15_000,
  sessionMs,
  ticketMs,
  maxConnections = 10_000,
  maxPerUser = 20,
  maxMessageBytes = 16 * 1_024,
  maxPending = 1_000,
  maxBufferedBytes = 1_024 * 1_024,
  graceMs = 5_000,
}: ServerOptions): Promise<Listening> {
  const tickets = new Tickets({ store, sessionMs, ticketMs });
  const connections = new Connections({ maxConnections, maxPerUser, maxBufferedBytes, maxPending }, (reason) => {
    metrics.cutOff.inc({ reason });
  });
  const metrics = createMetrics(connections);
  const audience = new Audience();
  const hall = { feed, audience, metrics, log, maxPending };
  const webSockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    handleProtocols: () => PROTOCOL,
    maxPayload: maxMessageBytes, // more is closed with 1009; what is not UTF-8, with 1007
    perMessageDeflate: false, // each connection would keep a window, and each event be compressed for each (README)
  });

  // #region upgrade
  async function upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    if (listening.closing.aborted) throw new HttpProblem(503, { detail: 'stopping', headers: { 'Retry-After': '1' } });
    const guest = await admit(request, { origins, redeem: (ticket) => tickets.redeem(ticket) });
    connections.checkRoom(guest.user);
    webSockets.handleUpgrade(request, socket, head, (ws) => open(ws, socket, guest));
  }

  function open(ws: WebSocket, socket: Socket, guest: Guest): void {
    const { after, ...identity } = guest;
    const connection = connections.add(ws, socket, identity);
    const conversation = new Conversation(connection, hall);
    ws.on('message', (data, isBinary) => conversation.hear(data as Buffer, isBinary));
    ws.on('pong', heartbeat.pong);
    ws.on('error', ignore); // a reset, or a frame that `ws` answers with the right code: 'close' follows
    ws.on('close', (code) => {
      conversation.over();
      connections.remove(connection);
      metrics.closes.inc({ code });
      log.info('connection', { code, durationMs: Date.now() - connection.openedAt, traceId: identity.traceId });
    });
    void conversation.begin(after);
  }
  // #endregion

  const logRequest = logRequests(log);
  const app = createRoutes({ tickets, registry: metrics.registry, log });
  const server = createServer((request, response) => logRequest(request, response, () => app(request, response)));
  server.on('upgrade', (request, socket: Socket, head) => {
    socket.on('error', ignore); // it may be reset while we ask for the ticket
    upgrade(request, socket, head).catch((error) => {
      metrics.refused.inc({ status: refuse(log, request, socket, error) });
    });
  });
  const heartbeat = startHeartbeat(connections, {
    everyMs: pingMs,
    onRoundTrip: (seconds) => metrics.roundTrip.observe(seconds),
  });
  const listening = await listen(server, { port, graceMs }).catch((error) => {
    heartbeat.stop();
    throw error;
  });
  void audience.follow(feed, listening.closing, log);
  listening.closing.addEventListener('abort', () => {
    heartbeat.stop();
    void connections.closeAll(CLOSE.serviceRestart, 'this server stops', { withinMs: graceMs / 2 });
  });
  return listening;
}

/** One function for all: a closure for each would keep what was in reach when it was made, such as the request. */
const ignore = () => {};

if (import.meta.main) {
  await main(async (stack, signal) => {
    const log = createLog('websocket-push');
    const { feed, store } = openRoom(stack, signal, log);
    const server = stack.use(
      await startServer({
        feed,
        store,
        log,
        port: envPort(),
        origins: process.env.ORIGINS?.split(',') ?? [],
        pingMs: envInteger('PING_MS', 15_000, { min: 1 }),
      }),
    );
    console.log(`listening on ${server.url}`);
    console.log(`in another terminal: pnpm -C packages/websocket-push client ${server.url} ann`);
    console.log(`                 or: open ${server.url}/ in two windows of a browser`);
  });
}
