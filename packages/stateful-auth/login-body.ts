/**
 * The body of a login: JSON, or a form.
 */
import { HttpProblem } from '@patterns/kit/problem';
import express, { type RequestHandler } from 'express';
import { LIMITS, parseCredentials } from './protocol.ts';

const limit = LIMITS.bodyBytes;

const demandType: RequestHandler = (request, _response, next) => {
  if (request.is(['json', 'urlencoded'])) return next();
  throw new HttpProblem(415, { headers: { Accept: 'application/json, application/x-www-form-urlencoded' } });
};

const toCredentials: RequestHandler = (request, _response, next) => {
  request.body = parseCredentials(request.body);
  next();
};

/** Express: 415, 413 or 400, or the body is `Credentials`. */
export const readLogin: RequestHandler[] = [
  demandType,
  express.json({ limit }),
  express.urlencoded({ limit, extended: false, parameterLimit: 2 }),
  toCredentials,
];
