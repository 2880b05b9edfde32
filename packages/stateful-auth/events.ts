/**
 * A connection that stays open outlives its session, if nobody looks: the session was checked once, when it began. So each of these
 * streams looks again, without making the session's idle time begin anew, and ends with it. A WebSocket needs the same, and first
 * of all somebody who reads its cookie: the upgrade does not come by any middleware.
 */
import type { Request, RequestHandler, Response } from 'express';
import type { RedisSessionStore } from './session-store.ts';

export interface EventsOptions {
  store: RedisSessionStore;
  /** How long a stream may outlive its session, and how often Redis is asked for each stream. */
  recheckMs: number;
}

// #region events
/** `GET /events`: says every `recheckMs` that the user is still logged in, and ends when not, or when nobody can tell. */
export function sessionEvents({ store, recheckMs }: EventsOptions): { stream: RequestHandler; endAll: () => void } {
  const open = new Set<Response>();
  const stream = (request: Request, response: Response): void => {
    const id = request.sessionID;
    const look = () =>
      store.get(id, (error, data) => {
        if (data) response.write('event: here\ndata: {}\n\n');
        else response.end(`event: over\ndata: {"reason":"${error ? 'unavailable' : 'logged out'}"}\n\n`);
      });
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    const timer = setInterval(look, recheckMs);
    open.add(response);
    response.once('close', () => {
      clearInterval(timer);
      open.delete(response);
    });
    look();
  };
  return {
    stream,
    endAll() {
      for (const response of open) response.end();
    },
  };
}
// #endregion
