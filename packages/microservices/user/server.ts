/**
 * Who the customers are: sign-up, login, tokens. It is the issuer of stateless-auth, with a database of its own.
 *
 * Any number of instances run on one database and make each other's tokens good: they have the same keys and the same name. Nobody
 * asks it about a token, so what it costs grows with the logins and not with the orders. It can be scaled alone, which is why it is
 * a service. Only the gateway may knock; the public keys are for everybody.
 */
import { ConfigError } from '@patterns/kit/env';
import { createLog, type Log } from '@patterns/kit/log';
import { type Issuer, startIssuer } from '@patterns/stateless-auth/issuer';
import { Router } from 'express';
import { isAnswer, untilThere } from '../chassis/database.ts';
import { envCallers, envDatabase, runService } from '../chassis/entry.ts';
import { requireService } from '../chassis/identity.ts';
import { observe } from '../chassis/service.ts';
import { ISSUER, SCOPE, USER_AUDIENCE } from '../contracts/user.ts';
import { AUDIENCE } from '../protocol.ts';

/** A login is two statements of a millisecond each, and its hash, which has nothing to do with the database, takes twenty. */
const CONNECTIONS = 4;

export interface UserOptions {
  databaseUrl: string;
  /** Public keys (PEM) of who may ask, by name. */
  callers: Readonly<Record<string, string>>;
  port?: number;
  log?: Log;
  graceMs?: number;
  /** Stops waiting for a database that is not there yet. */
  signal?: AbortSignal;
}

/** Starts one instance, as soon as its database is there. */
export async function startUser({
  databaseUrl,
  callers,
  log = createLog('user'),
  signal,
  ...options
}: UserOptions): Promise<Issuer> {
  // The issuer counts and logs by itself: of what is around the other services it lacks a span.
  const door = Router().use(observe(), requireService({ audience: USER_AUDIENCE, callers }));
  const start = () =>
    startIssuer({
      databaseUrl,
      connections: CONNECTIONS,
      issuer: ISSUER,
      audience: AUDIENCE,
      scopes: [SCOPE],
      signUp: true,
      door,
      log,
      ...options,
    });
  const isFinal = (error: unknown) => isAnswer(error) || error instanceof ConfigError; // such as: the port is taken
  return await untilThere(start, { isFinal, signal });
}

if (import.meta.main) {
  await runService('user', ({ log, port, signal }) =>
    startUser({ databaseUrl: envDatabase(), callers: envCallers('gateway'), log, port, signal }),
  );
}
