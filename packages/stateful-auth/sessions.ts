/**
 * Who is asking: express-session with everything that its defaults leave open, and the few moments in which a session changes.
 *
 * `loadSession` stands only in front of routes that need a session. Where Redis does not answer, those say 503, and nobody becomes
 * a stranger; the public ones do not notice.
 */
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { Log } from '@patterns/kit/log';
import { HttpProblem } from '@patterns/kit/problem';
import { traceOf } from '@patterns/kit/trace';
import type { Request, RequestHandler, Response } from 'express';
import session from 'express-session';
import type { Metrics } from './metrics.ts';
import { CHALLENGE, type SessionCookie } from './protocol.ts';
import { handleOf } from './session-data.ts';
import type { RedisSessionStore } from './session-store.ts';

export interface SessionsOptions {
  store: RedisSessionStore;
  cookie: SessionCookie;
  /** The first one signs, each of them verifies. */
  secrets: readonly string[];
  idleMs: number;
  metrics: Metrics;
  log: Log;
}

export function createSessions({ store, cookie, secrets, idleMs, metrics, log }: SessionsOptions) {
  // #region options
  const loadSession = session({
    store,
    name: cookie.name,
    cookie: { ...cookie.attributes, maxAge: idleMs },
    secret: [...secrets],
    genid: () => randomBytes(32).toString('base64url'), // 256 bits; 64 would be the least [OWASP Session Management]
    saveUninitialized: false, // whoever has not logged in leaves nothing behind, and gets no cookie
    resave: false, // an answer does not write back what it has only read
    rolling: true, // each answer moves the cookie's end along with the session's; the absolute end is the store's
  }) as RequestHandler;
  // #endregion

  /** An answer to one user is for no cache, and the cookie that comes with it even less. */
  const noStore: RequestHandler = (_request, response, next) => {
    response.set('Cache-Control', 'no-store');
    next();
  };

  /** A cookie that is marked Secure would silently not be set: better to say it. */
  const demandTls: RequestHandler = (request, _response, next) => {
    if (!cookie.attributes.secure || request.secure) return next();
    throw new HttpProblem(403, { detail: 'sessions are to be had over HTTPS only' });
  };

  const demandUser: RequestHandler = (request, _response, next) => {
    if (request.session.userId !== undefined) return next();
    throw new HttpProblem(401, { detail: 'you are not logged in', headers: CHALLENGE });
  };

  const record = (event: string, request: Request, response: Response, userId?: number) => {
    metrics.sessionEvents.inc({ event });
    // Never the id: whoever reads logs would be everybody.
    log.info(event, { userId, session: handleOf(request.sessionID).slice(0, 12), traceId: traceOf(response).traceId });
  };

  return {
    /** Middleware: reads the session, if there is one. */
    anyone: [noStore, demandTls, loadSession] satisfies RequestHandler[],
    /** Middleware: the session of a user, else 401. */
    user: [noStore, demandTls, loadSession, demandUser] satisfies RequestHandler[],

    // #region sign-in
    /**
     * Begins the session of a user under a new id. The one that the browser came with ends: somebody else may know its id, or
     * have planted it there. Resolves when Redis has the session: whoever follows a redirect finds it at any server.
     */
    async signIn(request: Request, response: Response, userId: number): Promise<void> {
      try {
        await promisify(request.session.regenerate.bind(request.session))();
        request.session.userId = userId;
        request.session.signedInAt = Date.now();
        await promisify(request.session.save.bind(request.session))();
      } catch (error) {
        Object.assign(request, { session: undefined }); // else the 503 would come with a cookie
        throw error;
      }
      record('signed in', request, response, userId);
    },
    // #endregion

    /** Ends this session, in Redis and in the browser. */
    async signOut(request: Request, response: Response): Promise<void> {
      const { userId } = request.session;
      await promisify(request.session.destroy.bind(request.session))();
      response.clearCookie(cookie.name, cookie.attributes);
      if (userId !== undefined) record('signed out', request, response, userId);
    },

    /** Ends all sessions of this one's user. @returns how many there were. */
    async signOutEverywhere(request: Request, response: Response): Promise<number> {
      const userId = request.session.userId!;
      const ended = await store.destroyAll(userId);
      Object.assign(request, { session: undefined });
      response.clearCookie(cookie.name, cookie.attributes);
      record('signed out everywhere', request, response, userId);
      return ended;
    },
  };
}

export type Sessions = ReturnType<typeof createSessions>;
