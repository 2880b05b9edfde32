/**
 * Connections to the app: kept open, as many as there are requests in flight, and given up when they are not accepted in time.
 * (By itself express-http-proxy asks with `Connection: close`, on a new connection each time.)
 */
import { Agent } from 'node:http';
import { connect, type NetConnectOpts, type Socket } from 'node:net';
import { UpstreamError } from './protocol.ts';

export type AppAgent = Agent;

/** More requests wait for a free connection. An app that cannot do this many at once is not helped by more. */
const MAX_CONNECTIONS = 256;

export function openAgent(connectMs: number): AppAgent {
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  agent.createConnection = (options): Socket => {
    const socket = connect({ ...(options as NetConnectOpts), timeout: 0 });
    const timer = setTimeout(() => socket.destroy(new UpstreamError('connection_timeout')), connectMs);
    return socket.once('connect', () => clearTimeout(timer)).once('close', () => clearTimeout(timer));
  };
  return agent;
}
