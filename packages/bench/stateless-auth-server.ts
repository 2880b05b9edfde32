/**
 * The server process of the benchmarks of who asks: `node stateless-auth-server.ts <contestant>`. All answer `GET /profile`, and
 * differ in how they find out that they may. TOKEN_KEY is a JWK to verify with, ISSUER_URL where the issuer publishes it.
 */
import { createPublicKey, createSecretKey } from 'node:crypto';
import { createServer } from 'node:http';
import { listen } from '@patterns/kit/listen';
import { AUDIENCE, PROFILE_PATH, type Profile } from '@patterns/stateless-auth/protocol';
import { startServer } from '@patterns/stateless-auth/server';
import express, { type RequestHandler } from 'express';
import jwt from 'jsonwebtoken';
import { answer } from './processes.ts';
import { ISSUER } from './stateless-auth-tokens.ts';

const { ISSUER_URL: issuerUrl = '', TOKEN_KEY: jwk = '' } = process.env;

const profile: Profile = { id: 'user', scope: 'profile:read profile:write', preferences: [] };

const letIn: RequestHandler = (_request, _response, next) => next();

/** The few lines that one writes with jsonwebtoken, done right. */
function checkBearer(algorithm: 'ES256' | 'HS256'): RequestHandler {
  const material = JSON.parse(jwk);
  const key =
    algorithm === 'HS256'
      ? createSecretKey(Buffer.from(material.k, 'base64url'))
      : createPublicKey({ key: material, format: 'jwk' });
  const demands = { algorithms: [algorithm], issuer: ISSUER, audience: AUDIENCE };
  return (request, _response, next) => {
    jwt.verify(request.headers.authorization?.slice('Bearer '.length) ?? '', key, demands);
    next();
  };
}

function serve(check: RequestHandler) {
  const app = express().disable('etag').disable('x-powered-by');
  app.get(PROFILE_PATH, check, (_request, response) => void response.json(profile));
  return listen(createServer(app));
}

const ours = (cacheEntries: number) => startServer({ issuerUrl, issuer: ISSUER, cacheEntries });

const contestants = {
  'no check': () => serve(letIn),
  'ours, ES256, cached': () => ours(10_000),
  'ours, ES256, no cache': () => ours(0),
  'jsonwebtoken, ES256, KeyObject': () => serve(checkBearer('ES256')),
  'jsonwebtoken, HS256, KeyObject': () => serve(checkBearer('HS256')),
} satisfies Record<string, () => Promise<{ url: string }>>;

export type Contestant = keyof typeof contestants;

const { url } = await contestants[process.argv[2] as Contestant]();

const handlers = { url: () => url + PROFILE_PATH };
export type ProfileServer = typeof handlers;
answer(handlers);
