/**
 * The issuer's fourth door, for those who are nobody yet. It is open only where `signUp` says so.
 *
 * It may be asked twice: an answer that got lost is no reason to tell somebody that the name is taken, by himself. So the same name
 * with the same password is answered like the first time, and with another password 409. That makes it a place to try
 * passwords at, and it is limited like one: `limitFailures` counts its refusals together with those of /login.
 */
import { HttpProblem, methodNotAllowed } from '@patterns/kit/problem';
import express, { type RequestHandler, Router } from 'express';
import { rateLimit } from 'express-rate-limit';
import * as protocol from './protocol.ts';
import type { Users } from './users.ts';

const WINDOW_MS = 5 * 60_000;
/** From one address. Each costs a hash and a row; an office full of people has one address, too. */
const MAX_SIGN_UPS = 200;

/** What can be read out, and cannot be taken for another one's by a space that nobody sees. */
const NAME = /^[\p{L}\p{N}._@-]{1,100}$/u;

/** POST /signup: 201, 400 with the fields that are wrong, 409 when the name is somebody's, 429. */
export function signUpRoute(users: Users, limitFailures: RequestHandler): Router {
  const routes = Router();
  const limit = rateLimit({
    windowMs: WINDOW_MS,
    limit: MAX_SIGN_UPS,
    validate: { xForwardedForHeader: false }, // believed only of whom `trust proxy` says
    standardHeaders: 'draft-8',
    legacyHeaders: false,
    handler: (_request, _response, next) => next(new HttpProblem(429, { detail: 'too many have signed up' })),
  });
  routes.post(protocol.SIGNUP_PATH, limit, limitFailures, express.json({ limit: '4kb' }), async (request, response) => {
    const { name, password } = readSignUp(request.body);
    const isNew = await users.create(name, password);
    if (!isNew && !(await users.check(name, password))) throw new HttpProblem(409, { detail: 'the name is taken' });
    response.status(201).set('Cache-Control', 'no-store').json({ name });
  });
  routes.all(protocol.SIGNUP_PATH, methodNotAllowed('POST'));
  return routes;
}

function readSignUp(body: unknown): { name: string; password: string } {
  const { name, password } = protocol.isRecord(body) ? body : {};
  const isName = typeof name === 'string' && NAME.test(name);
  // Length, and nothing about capitals and digits [NIST SP 800-63B §3.1.1.2].
  const isPassword = typeof password === 'string' && password.length >= 8 && password.length <= 200;
  if (isName && isPassword) return { name, password };
  const errors = [
    ...(isName ? [] : [{ field: '/name', expected: '1 to 100 letters, digits or any of . _ @ -' }]),
    ...(isPassword ? [] : [{ field: '/password', expected: 'a text of 8 to 200 characters' }]),
  ];
  throw new HttpProblem(400, { detail: 'the body is not as it should be', errors });
}
