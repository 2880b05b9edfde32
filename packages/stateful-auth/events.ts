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

/** `GET /events`: says every `recheckMs` that the user is still logged in, and ends when not, or when nobody can tell. */
export function sessionEvents({ store, recheckMs }: EventsOptions): { stream: RequestHandler; endAll: () => void } {
  const open = new Set<Response>();
  const stream = (request: Request, response: Response): void => {
    const id = request.sessionID;
    let timer: NodeJS.Timeout;
    // The next look begins when the last one is answered: a Redis that is slow is not asked twice.
    const look = () =>
      store.get(id, (error, data) => {
        if (response.writableEnded || response.destroyed) return;
        if (!data) return void response.end(over(error ? 'unavailable' : 'logged out'));
        response.write('event: here\ndata: {}\n\n');
        timer = setTimeout(look, recheckMs);
      });
    open.add(response);
    response.once('close', () => {
      clearTimeout(timer);
      open.delete(response);
    });
    response.writeHead(200, { 'Content-Type': 'text/event-stream; charset=utf-8' });
    look();
  };
  return {
    stream,
    endAll() {
      for (const response of open) response.end();
    },
  };
}

const over = (reason: string) => `event: over\ndata: {"reason":"${reason}"}\n\n`;
