/**
 * What of a token may be logged: enough to find out whose it was and what was wrong with it, and nothing that would let
 * a reader of the log use it.
 */
import { hash } from 'node:crypto';
import jwt from 'jsonwebtoken';
import { isRecord } from './protocol.ts';

/** What a token claims about itself, proven or not. Cut short, since a stranger may have written it. */
export function tokenForLog(token: string): { kid?: string; iss?: string; user?: string } {
  try {
    const { header, payload } = jwt.decode(token, { complete: true }) ?? {};
    const { iss, sub } = isRecord(payload) ? payload : {};
    return {
      ...text('kid', header?.kid),
      ...text('iss', iss),
      ...(typeof sub === 'string' ? { user: userForLog(sub) } : {}),
    };
  } catch {
    return {};
  }
}

/** The same for all lines about one user, without saying which. */
export function userForLog(id: string): string {
  return hash('sha256', id, 'hex').slice(0, 16);
}

const text = (name: string, value: unknown) => (typeof value === 'string' ? { [name]: value.slice(0, 80) } : {});
