/**
 * Tokens as every introduction shows them, runnable beside the sound version. `/login` and `/profile` are the textbook's:
 *  - the token has no `exp`: who has it once has it for ever, and there is no logout that would change that;
 *  - the secret can be guessed, without a request: any token is enough to try a dictionary on;
 *  - one secret signs and verifies: each service that may look at tokens can make them;
 *  - there is no issuer, no audience and no type: what one service was given opens every other that shares the secret;
 *  - name and preferences are in the payload, which is encoded, and not encrypted.
 *
 * It also lists no `algorithms`. The jsonwebtoken of today forgives that: it takes the ones that fit the key, and refuses `alg: none`
 * and a public key as a secret by itself. Verifiers written by hand do not: `/by-hand` has one (naive-verifier.ts), with tokens
 * that are signed with RS256.
 */
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { envInteger, envPort } from '@patterns/kit/env';
import { type Listening, listen } from '@patterns/kit/listen';
import { main } from '@patterns/kit/main';
import express, { type Request, type Response } from 'express';
import jwt from 'jsonwebtoken';
import { verifyByHand } from './naive-verifier.ts';

const SECRET = 'secret-key';

const USER = { userId: 123, name: 'John', preferences: ['dark mode', 'notifications on'] };

export interface NaiveOptions {
  port?: number | undefined;
  /** Of the tokens of `/by-hand`, which have an `exp`, in seconds. */
  byHandLifeS?: number;
}

export async function startNaive({ port, byHandLifeS = 600 }: NaiveOptions = {}): Promise<Listening> {
  const app = express().disable('x-powered-by');

  // #region textbook
  app.post('/login', (_req, res) => {
    const token = jwt.sign(USER, SECRET);
    res.json({ token });
  });

  app.get('/profile', (req, res) => {
    answer(req, res, (token) => jwt.verify(token, SECRET));
  });
  // #endregion

  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string;
  app.get('/by-hand/public-key.pem', (_req, res) => void res.type('text/plain').send(pem));
  app.post('/by-hand/login', (req, res) => {
    const audience = req.query.audience === 'newsletter' ? 'newsletter' : 'profile';
    const token = jwt.sign(USER, privateKey, { algorithm: 'RS256', expiresIn: byHandLifeS, audience });
    res.json({ token });
  });
  app.get('/by-hand/profile', (req, res) => {
    answer(req, res, (token) => verifyByHand(token, pem));
  });

  return listen(createServer(app), { port });
}

function answer(req: Request, res: Response, verify: (token: string) => unknown): void {
  const token = req.headers.authorization?.split(' ')[1];
  if (!token) return void res.status(401).send('No token provided');
  try {
    res.json(verify(token));
  } catch {
    res.status(401).send('Invalid token');
  }
}

if (import.meta.main) {
  await main(async (stack) => {
    const byHandLifeS = envInteger('BY_HAND_LIFE_S', 600, { min: 1 });
    const { url } = stack.use(await startNaive({ port: envPort(), byHandLifeS }));
    console.log(`listening on ${url}`);
    console.log(`TOKEN=$(curl -s -X POST ${url}/login | node -pe 'JSON.parse(fs.readFileSync(0)).token')`);
    console.log(`curl ${url}/profile -H "Authorization: Bearer $TOKEN"`);
  });
}
