/**
 * What is kept of a session, how it is written, and the name under which it is kept.
 */
import { createHash } from 'node:crypto';
import type { SessionData } from 'express-session';

declare module 'express-session' {
  /** All that a session remembers: whose it is, since when. What two requests may change at once is not in it, but in the database. */
  interface SessionData {
    userId?: number;
    /** In milliseconds since 1970. */
    signedInAt?: number;
  }
}

/** The session of somebody who is logged in: no others are kept. */
export type KeptSession = SessionData & Required<Pick<SessionData, 'userId' | 'signedInAt'>>;

/** What may be shown of a session: the digest of its id, from which nobody gets back to the id. */
export const handleOf = (id: string): string => createHash('sha256').update(id).digest('base64url');

/** Whether it is a session of somebody, as the store keeps them. */
export function isSession(data: Partial<SessionData> | null): data is KeptSession {
  const { userId, signedInAt, cookie } = data ?? {};
  return Number.isSafeInteger(userId) && Number.isSafeInteger(signedInAt) && typeof cookie === 'object' && !!cookie;
}

/** Reads a session. What is not one of ours is none: whoever comes with it has to log in again. */
export function parseSession(text: string | null): KeptSession | undefined {
  try {
    const data = JSON.parse(text ?? 'null') as Partial<SessionData> | null;
    return isSession(data) ? data : undefined;
  } catch {
    return undefined;
  }
}
